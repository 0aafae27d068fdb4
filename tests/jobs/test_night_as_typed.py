"""The README's command of a night, typed: its exit code tells how it ended, and nothing it leaves names a member."""

from __future__ import annotations

import fcntl
import gzip
import re
import shlex
from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import yaml
from tests.docs.commands import shown
from tests.jobs import kiosk
from tests.jobs.as_typed import typed

# Five starts of a Spark session, one of which works through a whole night.
pytestmark = [pytest.mark.long, pytest.mark.timeout(2400)]

NAMES = {"ann": "MEMBER-ANNA-0001", "bob": "MEMBER-BOB-0002", "cyd": "MEMBER-CYD-0003", "dan": "MEMBER-DAN-0004"}
RAW_ID = re.compile(rb"MEMBER-[A-Z]{3,4}-\d{4}")
# One row for the quarantine, one that is no row, one for each kind of duplicate.
TRAPS = """\
z1,ann,bread,2031-01-02 09:00:00,1,300
z2,ann,bread,2026-01-02 09:00:00,1,300,ann
a1,ann,bread,2026-01-02 09:00:00,1,300
a1,ann,bread,2026-01-02 09:00:00,5,900
"""


@pytest.fixture(scope="module")
def work(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("night") / "work of a kiosk"


@pytest.fixture(scope="module")
def night(work: Path, tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """The words of the README's command, for the kiosk's files in the place of the demo's."""
    orders = kiosk.FIRST.orders + TRAPS
    for name, member_id in NAMES.items():
        orders = re.sub(rf"\b{name}\b", member_id, orders)
    folder = kiosk.land(tmp_path_factory.mktemp("files") / "landing", kiosk.Night(orders, products=kiosk.PRODUCTS))
    source = folder.parent / "kiosk.yaml"
    source.write_text(yaml.safe_dump({**kiosk.SOURCE, "historical": True, "data": str(folder)}))
    (line,) = [c.line for c in shown() if c.where == "README.md" and "jobs/refresh.py" in c.line]
    ours = {"source=conf/sources/complete_journey.yaml": f"source={source}", "env.work=var/demo": f"env.work={work}"}
    words = shlex.split(line)
    assert ours.keys() <= set(words)
    return [ours.get(word, word) for word in words]


@pytest.fixture(scope="module")
def codes(night: list[str], work: Path) -> dict[str, tuple[int, str]]:
    """Exit code and last line of each ending, the good one last."""
    ended = {}

    def end(name: str, *more: str) -> None:
        told = typed([*night, *more], log=work / "logs" / f"{name}.log")
        ended[name] = told.returncode, told.stdout.strip().splitlines()[-1]

    end("wrong input", "--set", "source.calendar=Europe/Pariss")
    end("refused", "--set", "source.quarantine_limit=0.01")
    with (work / "lake/writer.lock").open("w") as lock:
        fcntl.lockf(lock, fcntl.LOCK_EX)
        end("busy")
    end("done")
    publish = ["python", "jobs/publish_members.py", "--set", f"env.work={work}"]
    told = typed(publish, log=work / "logs" / "publish.log")
    ended["published"] = told.returncode, told.stdout
    return ended


def test_done_is_0(codes) -> None:
    assert codes["done"][0] == codes["published"][0] == 0, codes


def test_wrong_input_is_2_and_says_what_to_write(codes) -> None:
    code, says = codes["wrong input"]
    assert code == 2
    assert "source.calendar: 'Europe/Pariss' is no IANA time zone; did you mean 'Europe/Paris'?" in says


def test_a_refused_check_is_3_and_says_which(codes) -> None:
    code, says = codes["refused"]
    assert code == 3
    assert re.search(r"refresh\.py: .*2 of 16 rows were quarantined", says), says


def test_another_refresh_under_way_is_4(codes) -> None:
    code, says = codes["busy"]
    assert code == 4
    assert says.endswith("wait for it to end, then run again")


def test_the_night_released_what_it_cleaned(codes, work: Path) -> None:
    assert kiosk.release_id(work)


MAY_NAME_MEMBERS = ("lake/bronze/", "lake/silver/member_identities/", "secrets/")


def contents(path: Path) -> Iterator[bytes]:
    """A file's bytes, and what they hide by compression."""
    yield path.read_bytes()
    if path.suffix == ".gz":
        yield gzip.decompress(path.read_bytes())
    if path.suffix == ".parquet":
        yield str(pq.ParquetFile(path).read().to_pylist()).encode()


def naming_members(folder: Path, *, below: tuple[str, ...] = ("",), outside: tuple[str, ...] = ()) -> list[str]:
    """Files that hold a raw id, or have it in their name."""
    files = {str(path.relative_to(folder)): path for path in folder.rglob("*") if path.is_file()}
    chosen = {name: path for name, path in files.items() if name.startswith(below)}
    if outside:
        chosen = {name: path for name, path in chosen.items() if not name.startswith(outside)}
    return [
        name
        for name, path in sorted(chosen.items())
        if any(RAW_ID.search(text) for text in (name.encode(), *contents(path)))
    ]


def test_no_file_of_a_night_names_a_member_but_bronze_and_the_identities(codes, work: Path) -> None:
    looked_at = {path.parts[0] for path in (p.relative_to(work) for p in work.rglob("*") if p.is_file())}
    assert {"lake", "logs", "store"} <= looked_at
    tables = {path.parent.name for path in (work / "lake").rglob("*.parquet")}
    assert {"quarantine", "replaced", "order_lines", "members", "job_runs", "releases"} <= tables | {
        path.name for path in (work / "lake").glob("*/*")
    }
    assert naming_members(work, outside=MAY_NAME_MEMBERS) == []


def test_the_search_would_find_one(codes, work: Path, tmp_path: Path) -> None:
    for where in MAY_NAME_MEMBERS[:2]:
        assert naming_members(work, below=(where,)), where
    id_ = NAMES["ann"]
    pq.write_table(pa.table({"row": [f'{{"member_id": "{id_}"}}'] * 1000}), tmp_path / "a.parquet", compression="zstd")
    (tmp_path / "b.log.gz").write_bytes(gzip.compress(id_.encode()))
    (tmp_path / f"{id_}.txt").touch()
    assert naming_members(tmp_path) == [f"{id_}.txt", "a.parquet", "b.log.gz"]
