"""What is learnt from and answered with: point in time, keyed by member, partitioned by bucket.

Days and windows: a feature "in the N days before as_of" reads days with ``as_of - N <= day < as_of`` of which we knew
before ``as_of``. ``newest_known_on`` of a row is the newest knowledge that went into it; a table that has a row for
every time when more was known (member_days, member_totals, member_events, interactions) calls it ``known_on``.
"""

from __future__ import annotations

from dataclasses import asdict, replace

from tenure.contracts.landing import DEMOGRAPHICS, KNOWN_ON
from tenure.contracts.shop import Shop
from tenure.contracts.silver import DAY, MEMBER_KEY, SILVER_TABLES
from tenure.contracts.table import Column, Combine, Has, Kind, Layer, Table, fingerprint

BUCKET = Column(name="bucket", kind=Kind.COUNT, says="member_key modulo the shop's buckets, not negative", low=0)
AS_OF = Column(name="as_of", kind=Kind.DAY, says="the day before which everything in the row was known")
SUPERSEDED_ON = Column(
    name="superseded_on",
    kind=Kind.DAY,
    says="known_on of the row that stands for this one from then on; null while it stands itself",
    nullable=True,
)
NEWEST_KNOWN_ON = Column(
    name="newest_known_on", kind=Kind.DAY, says="newest known_on among all that went into the row; before as_of"
)


def _sum(name: str, kind: Kind, says: str, unit: str = "", needs: Has | None = None) -> Column:
    return Column(name=name, kind=kind, says=says, unit=unit, needs=needs, combine=Combine.SUM)


OTHER_CATEGORIES_BIT = 63  # of category_bits: any category beyond the shop's main ones


def category_measure(position: int, category: str) -> Column:
    return _sum(
        f"spend_category_{position}_minor",
        Kind.MONEY,
        f"paid for {category}, net of returns",
        unit="minor",
        needs=Has.CATEGORIES,
    )


def daily_measures(shop: Shop) -> tuple[Column, ...]:
    """What is summed per member and day, and combined over windows: a new measure is one line here."""
    return (
        _sum("visits", Kind.COUNT, "days with a basket: 1, or 0 where every basket was taken back", unit="days"),
        _sum("baskets", Kind.COUNT, "baskets of which something was kept", unit="baskets"),
        _sum("lines", Kind.COUNT, "basket lines of which something was kept", unit="lines"),
        _sum("items", Kind.NUMBER, "units kept", unit="units"),
        _sum("spend_minor", Kind.MONEY, "paid, net of returns and discounts", unit="minor"),
        _sum("discount_minor", Kind.MONEY, "taken off by the shop", unit="minor", needs=Has.DISCOUNTS),
        _sum("coupon_minor", Kind.MONEY, "taken off by coupons", unit="minor", needs=Has.DISCOUNTS),
        _sum("returned_minor", Kind.MONEY, "paid back for returns", unit="minor", needs=Has.RETURNS),
        Column(
            name="category_bits",
            kind=Kind.BITS,
            says="categories bought from: one bit for each of the shop's main categories, bit 63 for any other",
            combine=Combine.BITS,
            needs=Has.CATEGORIES,
        ),
        *(category_measure(position, category) for position, category in enumerate(shop.categories)),
        _sum(
            "targeted", Kind.COUNT, "campaigns that began to address the member", unit="campaigns", needs=Has.CAMPAIGNS
        ),
        _sum("redeemed", Kind.COUNT, "coupons redeemed", unit="coupons", needs=Has.CAMPAIGNS),
    )


def member_days(shop: Shop) -> Table:
    """The tiles."""
    return Table(
        name="member_days",
        layer=Layer.GOLD,
        says="What a member did on one day, as known from one day on; every window combines these.",
        key=("member_key", "day", "known_on"),
        columns=(BUCKET, MEMBER_KEY, DAY, KNOWN_ON, SUPERSEDED_ON, *daily_measures(shop)),
        partition_by=("bucket",),
        sort_by=("member_key", "day", "known_on"),
    ).without(shop.lacks)


MEMBER_TOTALS = Table(
    name="member_totals",
    layer=Layer.GOLD,
    says=(
        "A member's whole life so far, as known from one day on: running totals, so that no window has to be as long "
        "as a life."
    ),
    key=("member_key", "known_on"),
    columns=(
        BUCKET,
        MEMBER_KEY,
        KNOWN_ON,
        SUPERSEDED_ON,
        Column(name="first_visit_on", kind=Kind.DAY, says="day of the first visit", nullable=True),
        Column(name="last_visit_on", kind=Kind.DAY, says="day of the last visit", nullable=True),
        Column(name="visits", kind=Kind.COUNT, says="days with a basket", unit="days"),
        Column(name="spend_minor", kind=Kind.MONEY, says="paid, net of returns", unit="minor"),
        Column(
            name="squared_gap_days",
            kind=Kind.COUNT,
            says="sum of the squared days between one visit and the next",
            unit="days^2",
        ),
    ),
    partition_by=("bucket",),
    sort_by=("member_key", "known_on"),
)


def over(measure: Column, days: int) -> Column:
    """A daily measure combined over the ``days`` days before ``as_of``."""
    return replace(measure, name=f"{measure.name}_{days}d", says=f"{measure.says}, in the {days} days before as_of")


MEASURES_OF_EVERY_WINDOW = ("visits", "baskets", "items", "spend_minor")


def windowed(shop: Shop) -> tuple[tuple[Column, int], ...]:
    """Which daily measure is combined over which window: the ones that tell of rhythm and money over every window, the
    others over the longest one."""
    longest = max(shop.windows_days)
    return tuple(
        (measure, days)
        for measure in daily_measures(shop)
        for days in (shop.windows_days if measure.name in MEASURES_OF_EVERY_WINDOW else (longest,))
    )


def _life(shop: Shop) -> tuple[Column, ...]:
    """What looks back over a whole life (running totals), and ratios of what stands beside it."""
    long = max(shop.windows_days)
    middle = sorted(shop.windows_days)[-2]

    def column(
        name: str, kind: Kind, says: str, unit: str = "", *, nullable: bool = True, needs: Has | None = None
    ) -> Column:
        return Column(name=name, kind=kind, says=says, unit=unit, nullable=nullable, needs=needs)

    return (
        column("days_since_known", Kind.COUNT, "days since the member was first known", "days", nullable=False),
        column("days_since_first_visit", Kind.COUNT, "days since the first visit; null without one", "days"),
        column("days_since_last_visit", Kind.COUNT, "days since the last visit; null without one", "days"),
        column("lifetime_visits", Kind.COUNT, "days with a basket, ever", "days", nullable=False),
        column("lifetime_spend_minor", Kind.MONEY, "paid ever, net of returns", "minor", nullable=False),
        column("mean_gap_days", Kind.NUMBER, "mean days between visits; null below two visits", "days"),
        column("sd_gap_days", Kind.NUMBER, "standard deviation of the days between visits; null below three", "days"),
        column("overdue", Kind.NUMBER, "days_since_last_visit / mean_gap_days; null without the latter", "ratio"),
        column(
            "visits_trend",
            Kind.NUMBER,
            f"visits a day in the last {middle} days over those in the last {long}; null without any",
            "ratio",
        ),
        column(
            "spend_trend",
            Kind.NUMBER,
            f"spend a day in the last {middle} days over that in the last {long}; null without any",
            "ratio",
        ),
        column("mean_basket_minor", Kind.NUMBER, f"spend a basket in the last {long} days; null without any", "minor"),
        column(
            "discount_share",
            Kind.NUMBER,
            f"discounts and coupons in the last {long} days over spend plus both; null without any",
            "share",
            needs=Has.DISCOUNTS,
        ),
        column(
            "categories_seen",
            Kind.COUNT,
            f"main categories bought from in the last {long} days (bits set in category_bits)",
            "categories",
            nullable=False,
            needs=Has.CATEGORIES,
        ),
    )


STAGE = Column(
    name="stage",
    kind=Kind.TEXT,
    says="lifecycle stage: acquisition, activation, conversion, retention, loyalty or lapsed (tenure.lifecycle.stages)",
)
HAS_DEMOGRAPHICS = Column(
    name="has_demographics",
    kind=Kind.FLAG,
    says="whether any demographic was known",
    needs=Has.DEMOGRAPHICS,
)


def member_features(shop: Shop) -> Table:
    """What was known of a member before a day; every member first known before it, silent ones too."""
    return Table(
        name="member_features",
        layer=Layer.GOLD,
        says="What was known of a member before the day as_of began; silent members too.",
        key=("member_key", "as_of"),
        columns=(
            BUCKET,
            MEMBER_KEY,
            AS_OF,
            *(over(measure, days) for measure, days in windowed(shop)),
            *_life(shop),
            *DEMOGRAPHICS,
            HAS_DEMOGRAPHICS,
            STAGE,
            NEWEST_KNOWN_ON,
        ),
        partition_by=("bucket",),
        sort_by=("member_key", "as_of"),
    ).without(shop.lacks)


EVENT_COLUMNS = (
    DAY,
    KNOWN_ON,
    Column(name="kind", kind=Kind.TEXT, says="visit; 'none' where a later correction left nothing of the event"),
    Column(name="baskets", kind=Kind.COUNT, says="baskets of the visit"),
    Column(name="lines", kind=Kind.COUNT, says="basket lines"),
    Column(name="spend_minor", kind=Kind.MONEY, unit="minor", says="paid, net of returns and discounts"),
    Column(name="discount_minor", kind=Kind.MONEY, unit="minor", says="taken off", needs=Has.DISCOUNTS),
    Column(name="coupon_minor", kind=Kind.MONEY, unit="minor", says="taken off by coupons", needs=Has.DISCOUNTS),
    Column(name="hour", kind=Kind.COUNT, says="local hour of the first basket", low=0, high=23, needs=Has.HOURS),
    Column(
        name="categories",
        kind=Kind.TEXTS,
        says="categories of what was kept, most spent on first",
        needs=Has.CATEGORIES,
    ),
    Column(
        name="category_shares",
        kind=Kind.NUMBERS,
        says="share of the visit's spend, one for each of categories; they add up to 1",
        needs=Has.CATEGORIES,
    ),
)


def member_events(shop: Shop) -> Table:
    """The raw parts of sequence tokens."""
    return Table(
        name="member_events",
        layer=Layer.GOLD,
        says=(
            "A member's visits, one a day: of several rows with the same member, day and kind-of-token the newest one "
            "known before as_of counts. Merged by key: what becomes known later adds a row, and a load of the past "
            "changes the rows of the days on which it counts as known. The last N events of any as_of are a cut that "
            "the reader makes, and so are the gaps between them, by their days."
        ),
        key=("member_key", "day", "known_on"),
        columns=(BUCKET, MEMBER_KEY, *EVENT_COLUMNS),
        partition_by=("bucket",),
        sort_by=("member_key", "day", "known_on"),
    ).without(shop.lacks)


def interactions(shop: Shop) -> Table:
    """What factorization learns from."""
    return Table(
        name="interactions",
        layer=Layer.GOLD,
        says=(
            "Which member took which product on which day: signed parts, summed by the reader. Merged by key: what "
            "becomes known later adds a part, and a load of the past changes those of the days on which it counts as "
            "known."
        ),
        key=("member_key", "product_id", "day", "known_on"),
        columns=(
            BUCKET,
            MEMBER_KEY,
            Column(name="product_id", kind=Kind.TEXT, says="what was bought"),
            DAY,
            KNOWN_ON,
            Column(name="times", kind=Kind.COUNT, says="lines bought less lines wholly taken back"),
            Column(name="quantity", kind=Kind.NUMBER, says="units bought less units taken back"),
            Column(name="spend_minor", kind=Kind.MONEY, unit="minor", says="paid, net of returns"),
        ),
        partition_by=("bucket",),
        sort_by=("member_key", "product_id", "day", "known_on"),
    ).without(shop.lacks)


# Of no job yet, so it is none of gold_tables: ADR 4 says why it is here.
MEMBER_SESSIONS = Table(
    name="member_sessions",
    layer=Layer.GOLD,
    says="A member's events in runs between which nothing happened for longer than a gap.",
    key=("member_key", "session_no"),
    columns=(
        MEMBER_KEY,
        Column(name="session_no", kind=Kind.COUNT, says="the member's sessions in time, from 1", low=1),
        Column(name="session_key", kind=Kind.KEY, says="hash of member and start: a number may change, it does not"),
        Column(name="started_at", kind=Kind.MOMENT, says="the first event, in UTC"),
        Column(name="ended_at", kind=Kind.MOMENT, says="the last event, in UTC"),
        Column(name="events", kind=Kind.COUNT, says="how many events", unit="events", low=1),
    ),
)
LABELS = Table(
    name="labels",
    layer=Layer.GOLD,
    says="What happened from as_of on, written when the task's horizon has wholly passed.",
    key=("member_key", "as_of", "task"),
    columns=(
        BUCKET,
        MEMBER_KEY,
        AS_OF,
        Column(name="task", kind=Kind.TEXT, says="the task's examples, as in 'churn'"),
        Column(name="value", kind=Kind.NUMBER, says="the label: for churn 1 where no visit fell into the horizon"),
        Column(name="horizon_days", kind=Kind.COUNT, unit="days", says="days from as_of on that the label looks at"),
        Column(name="matured_at", kind=Kind.DAY, says="the last day of the horizon"),
        replace(
            NEWEST_KNOWN_ON,
            says="newest known_on among the visits that decided; no earlier than matured_at, as silence is known then",
        ),
    ),
    partition_by=("bucket",),
    sort_by=("member_key", "as_of"),
)


def gold_tables(shop: Shop) -> tuple[Table, ...]:
    return (
        member_days(shop),
        MEMBER_TOTALS,
        member_features(shop),
        member_events(shop),
        interactions(shop),
        LABELS,
    )


def contract_fingerprint(shop: Shop) -> str:
    """Changes when any silver or gold table or any setting of the shop does; gold of another one is built anew."""
    return fingerprint((*SILVER_TABLES, *gold_tables(shop)), **asdict(shop))
