"""What the jobs say about themselves: batches, what was set aside and why, runs, releases."""

from __future__ import annotations

from tenure.contracts.landing import ARRIVED_ON, BATCH_ID, BATCH_NO, POSITION
from tenure.contracts.table import Column, Kind, Layer, Table

_TABLE = Column(name="table", kind=Kind.TEXT, says="the raw table")
_RULE = Column(name="rule", kind=Kind.TEXT, says="the rule that decided")
_ROW = Column(
    name="row",
    kind=Kind.TEXT,
    says="the row as it landed, as JSON, in the columns that its feed reads; the member's id is the member_key; other "
    "columns, and a line that is unreadable ({} here, for it may hold the id anywhere), are in bronze's raw_<feed>, by "
    "batch_no and position",
)
_SOURCE_FILE = Column(name="source_file", kind=Kind.TEXT, says="the landing file, relative to the source's folder")

BATCHES = Table(
    name="batches",
    layer=Layer.CONTROL,
    says="Every batch that bronze holds, written after its last raw table: what is not here has not arrived.",
    key=("batch_id",),
    columns=(
        BATCH_ID,
        BATCH_NO,
        ARRIVED_ON,
        Column(name="ingested_at", kind=Kind.MOMENT, says="when the batch was ingested"),
        Column(name="landed", kind=Kind.COUNTS_BY_NAME, says="rows landed, by raw table"),
        # Last, as older lakes have got it later.
        Column(
            name="source",
            kind=Kind.TEXT,
            says="name of the source that brought it; null for a batch that landed before this was kept",
            nullable=True,
        ),
    ),
)
QUARANTINE = Table(
    name="quarantine",
    layer=Layer.CONTROL,
    says="Rows that broke a rule: the row, the rule, the batch.",
    key=("table", "batch_id", "position"),
    columns=(_TABLE, _RULE, BATCH_ID, BATCH_NO, POSITION, _SOURCE_FILE, _ROW),
)
REPLACED = Table(
    name="replaced",
    layer=Layer.CONTROL,
    says="Rows for which another row stands: duplicates, and lines that came to nothing together with another.",
    key=("table", "batch_id", "position"),
    columns=(
        _TABLE,
        Column(name="fate", kind=Kind.TEXT, says="duplicate or netted"),
        _RULE,
        Column(
            name="replaced_by",
            kind=Kind.TEXT,
            says="the key of the row that stands for it: line_key, touch_key, or what a version is a version of; a "
            "sale and its return that came to nothing name each other; null for a line that came to nothing by itself",
            nullable=True,
        ),
        BATCH_ID,
        BATCH_NO,
        POSITION,
        _SOURCE_FILE,
        _ROW,
    ),
)
CONSERVATION = Table(
    name="conservation",
    layer=Layer.CONTROL,
    says="Where the rows of a batch went, each number counted in the pass that wrote it.",
    key=("table", "batch_id"),
    columns=(
        _TABLE,
        BATCH_ID,
        BATCH_NO,
        *(
            Column(name=name, kind=Kind.COUNT, says=says, low=0)
            for name, says in (
                ("landed", "rows that bronze took in"),
                ("silver", "rows that silver holds of them"),
                ("duplicates", "rows dropped for one that is the same or has the same key"),
                ("quarantined", "rows that broke a rule"),
                ("netted", "rows that came to nothing"),
            )
        ),
        *(
            Column(name=f"{name}_by_rule", kind=Kind.COUNTS_BY_NAME, says=f"{says}, by each rule that {did} them")
            for name, says, did in (
                ("silver", "of the rows in silver", "marked or changed"),
                ("duplicates", "of the duplicates", "took, marked or changed"),
                ("quarantined", "of the rows in quarantine", "took, marked or changed"),
                ("netted", "of the rows that came to nothing", "took, marked or changed"),
            )
        ),
        Column(
            name="newest_day",
            kind=Kind.DAY,
            says="the newest day on which a row that silver holds happened; null where none did",
            nullable=True,
        ),
        Column(
            name="cleaning",
            kind=Kind.TEXT,
            says="fingerprint of the settings that decided; under others every batch is cleaned anew",
        ),
    ),
)
JOB_RUNS = Table(
    name="job_runs",
    layer=Layer.CONTROL,
    says="What every run of a job read and wrote, and how long it took; a simulation leaves no row, as it makes what "
    "lands and has no lake.",
    key=("run_id",),
    columns=(
        Column(name="run_id", kind=Kind.TEXT, says="unique id of the run"),
        Column(name="job", kind=Kind.TEXT, says="the job's name"),
        Column(name="started_at", kind=Kind.MOMENT, says="when it started"),
        Column(name="seconds", kind=Kind.NUMBER, unit="s", says="how long it took", low=0),
        Column(name="outcome", kind=Kind.TEXT, says="done, nothing_new, refused or failed"),
        Column(name="read", kind=Kind.COUNTS_BY_NAME, says="rows read, by table"),
        Column(name="wrote", kind=Kind.COUNTS_BY_NAME, says="rows written, by table"),
        Column(name="message", kind=Kind.TEXT, says="one sentence", nullable=True),
    ),
)
RELEASES = Table(
    name="releases",
    layer=Layer.CONTROL,
    says="One row a refresh: the version of every table that belongs together. Readers see tables through a release.",
    key=("release_id",),
    columns=(
        Column(name="release_id", kind=Kind.TEXT, says="unique id, sorting by time"),
        Column(name="released_at", kind=Kind.MOMENT, says="when it was written, after every check held"),
        Column(name="source", kind=Kind.TEXT, says="name of the source"),
        Column(name="tables", kind=Kind.COUNTS_BY_NAME, says="Delta version, by table"),
        Column(name="fingerprint", kind=Kind.TEXT, says="fingerprint of the contract and the shop's settings"),
        Column(name="shop", kind=Kind.TEXT, says="the shop's settings, as JSON"),
        Column(name="code_version", kind=Kind.TEXT, says="version of the code that wrote it"),
        Column(name="last_complete_day", kind=Kind.DAY, says="the newest day of which everything expected is in"),
        Column(name="newest_as_of", kind=Kind.DAY, says="the newest as_of among the features: the day to answer for"),
        Column(name="through_batch", kind=Kind.COUNT, says="batch_no of the newest batch in it"),
    ),
)

CONTROL_TABLES = (BATCHES, QUARANTINE, REPLACED, CONSERVATION, JOB_RUNS, RELEASES)
