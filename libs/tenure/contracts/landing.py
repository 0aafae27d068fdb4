"""What a source must say of each raw table: one Spark SQL expression a column, evaluated on what landed.

Bronze keeps the landed columns as they came, behind the ``ENVELOPE``; these contracts are what is read from them
through the source's expressions. A column that a source leaves out is null where it is nullable, and the source is
refused where it is not.
"""

from __future__ import annotations

from tenure.contracts.table import Column, Has, Kind, Layer, Table

BATCH_ID = Column(name="batch_id", kind=Kind.TEXT, says="the batch that brought the row")
BATCH_NO = Column(name="batch_no", kind=Kind.COUNT, says="the order in which batches arrived, from 1", low=1)
POSITION = Column(name="position", kind=Kind.COUNT, says="the row's place in its batch, from 0", low=0)
ARRIVED_ON = Column(
    name="arrived_on",
    kind=Kind.DAY,
    says="the shop's day on which the batch came; null for a historical load, whose known_on the source declares",
    nullable=True,
)
KNOWN_ON = Column(name="known_on", kind=Kind.DAY, says="the day from which on we could have known the row")

ENVELOPE = (
    BATCH_ID,
    BATCH_NO,
    Column(name="source_file", kind=Kind.TEXT, says="the landing file, relative to the source's folder"),
    POSITION,
    ARRIVED_ON,
)

MEMBER_ID = Column(name="member_id", kind=Kind.TEXT, says="the shop's own id of the member", personal=True)


def _demographic(name: str, says: str) -> Column:
    return Column(name=name, kind=Kind.TEXT, says=says, nullable=True, personal=True, needs=Has.DEMOGRAPHICS)


DEMOGRAPHICS = (
    _demographic("age_band", "band of the member's age, as the shop cuts it"),
    _demographic("income_band", "band of the household's income, as the shop cuts it"),
    _demographic("home_ownership", "whether the home is owned or rented"),
    _demographic("marital_status", "marital status"),
    _demographic("household_size", "people in the household"),
    _demographic("kids_count", "children in the household"),
    _demographic("region", "country or region"),
)

_DECLARED_KNOWN_ON = Column(
    name="known_on",
    kind=Kind.DAY,
    nullable=True,
    says="when a historical row is taken to have been known: not after its load; of what happened, on its day (the "
    "default) or later",
)


def _raw(name: str, says: str, key: tuple[str, ...], *columns: Column) -> Table:
    return Table(name=name, layer=Layer.BRONZE, says=says, key=key, columns=(*columns, _DECLARED_KNOWN_ON))


RAW_MEMBERS = _raw(
    "raw_members",
    "Members as the shop registers them. A member who only ever ordered needs no row here.",
    ("member_id",),
    MEMBER_ID,
    Column(name="registered_on", kind=Kind.DAY, says="day of registration", nullable=True),
    *DEMOGRAPHICS,
)
RAW_PRODUCTS = _raw(
    "raw_products",
    "The catalogue.",
    ("product_id",),
    Column(name="product_id", kind=Kind.TEXT, says="the shop's own id of the product"),
    Column(name="product_name", kind=Kind.TEXT, says="what a customer would call it", nullable=True),
    Column(name="category", kind=Kind.TEXT, says="top category", nullable=True, needs=Has.CATEGORIES),
    Column(name="product_type", kind=Kind.TEXT, says="narrowest category", nullable=True, needs=Has.CATEGORIES),
    Column(name="brand", kind=Kind.TEXT, says="brand, or kind of brand", nullable=True),
    Column(
        name="is_recommendable",
        kind=Kind.FLAG,
        says="whether it makes sense to recommend: not fuel, a coupon, postage, a fee",
    ),
)
_MOST_MINOR = 1e12  # nobody pays ten thousand million for a line; nine million such lines still fit into a sum

RAW_ORDERS = _raw(
    "raw_orders",
    "Order lines, and the lines that cancel or return them.",
    ("order_id", "product_id"),
    Column(name="order_id", kind=Kind.TEXT, says="the shop's own id of the order, invoice or basket"),
    Column(
        name="member_id",
        kind=Kind.TEXT,
        says="who bought; null where the shop does not know",
        nullable=True,
        personal=True,
    ),
    Column(name="product_id", kind=Kind.TEXT, says="what was bought"),
    Column(name="occurred_at", kind=Kind.MOMENT, says="when, in UTC"),
    Column(
        name="quantity",
        kind=Kind.NUMBER,
        says="units; negative on a return",
        low=-1e6,
        high=1e6,
    ),
    Column(
        name="paid_minor",
        kind=Kind.MONEY,
        unit="minor",
        says="paid for the line, after discounts",
        low=-_MOST_MINOR,
        high=_MOST_MINOR,
    ),
    Column(
        name="discount_minor",
        kind=Kind.MONEY,
        unit="minor",
        says="taken off by the shop's own prices and loyalty card",
        nullable=True,
        low=0,
        high=_MOST_MINOR,
        needs=Has.DISCOUNTS,
    ),
    Column(
        name="coupon_minor",
        kind=Kind.MONEY,
        unit="minor",
        says="taken off by coupons",
        nullable=True,
        low=0,
        high=_MOST_MINOR,
        needs=Has.DISCOUNTS,
    ),
    Column(name="store_id", kind=Kind.TEXT, says="store or channel", nullable=True),
    Column(name="is_return", kind=Kind.FLAG, says="whether the line takes back an earlier one"),
)
RAW_CAMPAIGNS = _raw(
    "raw_campaigns",
    "Campaigns and how long they ran.",
    ("campaign_id",),
    Column(name="campaign_id", kind=Kind.TEXT, says="the shop's own id of the campaign"),
    Column(name="campaign_kind", kind=Kind.TEXT, says="kind of campaign", nullable=True),
    Column(name="starts_on", kind=Kind.DAY, says="first day"),
    Column(name="ends_on", kind=Kind.DAY, says="last day"),
)
RAW_TOUCHES = _raw(
    "raw_touches",
    "What campaigns did to members, and what members did with it.",
    ("member_id", "campaign_id", "touch_kind", "touched_on", "item"),
    MEMBER_ID,
    Column(name="campaign_id", kind=Kind.TEXT, says="which campaign"),
    Column(name="touch_kind", kind=Kind.TEXT, says="targeted or redeemed"),
    Column(
        name="touched_on",
        kind=Kind.DAY,
        says="when; by default the campaign's first day",
        nullable=True,
    ),
    Column(name="item", kind=Kind.TEXT, says="which coupon or message", nullable=True),
)

_EVENT_AT = Column(name="occurred_at", kind=Kind.MOMENT, says="when, in UTC")
_ABOUT_ORDER = Column(name="order_id", kind=Kind.TEXT, says="the order it is about", nullable=True)

RAW_EVENTS = _raw(
    "raw_events",
    "What members did in the shop's site and app, one row a step.",
    ("event_id",),
    Column(name="event_id", kind=Kind.TEXT, says="the shop's own id of the event"),
    Column(name="session_id", kind=Kind.TEXT, says="the visit that it belongs to", nullable=True),
    MEMBER_ID,
    _EVENT_AT,
    Column(
        name="event_kind",
        kind=Kind.TEXT,
        says="register, login, browse, search, click, favourite, cart, buy, review, help, return or refund",
    ),
    Column(name="product_id", kind=Kind.TEXT, says="the product that it is about", nullable=True),
    _ABOUT_ORDER,
    Column(name="query", kind=Kind.TEXT, says="what was searched for", nullable=True, personal=True),
    Column(name="stars", kind=Kind.COUNT, says="stars of a review", nullable=True, low=1, high=5),
    Column(name="device", kind=Kind.TEXT, says="kind of device", nullable=True),
    Column(name="region", kind=Kind.TEXT, says="country or region it came from", nullable=True, personal=True),
)
RAW_PAYMENTS = _raw(
    "raw_payments",
    "Payments and tries to pay.",
    ("payment_id",),
    Column(name="payment_id", kind=Kind.TEXT, says="the shop's own id of the payment"),
    _ABOUT_ORDER,
    MEMBER_ID,
    _EVENT_AT,
    Column(name="amount_minor", kind=Kind.MONEY, unit="minor", says="what was to be paid", low=0),
    Column(name="method", kind=Kind.TEXT, says="card, wallet, invoice or voucher", nullable=True),
    Column(name="device_id", kind=Kind.TEXT, says="the device that it came from", nullable=True, personal=True),
    Column(name="is_approved", kind=Kind.FLAG, says="whether the payment went through"),
)
RAW_CHARGEBACKS = _raw(
    "raw_chargebacks",
    "Payments that somebody disputes, days or weeks later.",
    ("payment_id",),
    RAW_PAYMENTS.column("payment_id"),
    Column(name="reported_on", kind=Kind.DAY, says="day on which the shop heard of it"),
    Column(name="reason", kind=Kind.TEXT, says="what is said to be wrong", nullable=True),
)
RAW_MESSAGES = _raw(
    "raw_messages",
    "What members wrote to the shop, and what became of it.",
    ("message_id",),
    Column(name="message_id", kind=Kind.TEXT, says="the shop's own id of the message"),
    MEMBER_ID,
    _ABOUT_ORDER,
    _EVENT_AT,
    Column(name="text", kind=Kind.TEXT, says="the message", personal=True),
    Column(name="intent", kind=Kind.TEXT, says="what it is about, as an agent filed it", nullable=True),
    Column(
        name="answered_at", kind=Kind.MOMENT, says="when it was answered, in UTC; null while it is not", nullable=True
    ),
    Column(
        name="outcome", kind=Kind.TEXT, says="informed, refunded, replaced, apologised or unanswered", nullable=True
    ),
)
RAW_CONSENTS = _raw(
    "raw_consents",
    "What members agree to, by purpose: the newest row counts.",
    ("member_id", "purpose", "occurred_at"),
    MEMBER_ID,
    Column(name="purpose", kind=Kind.TEXT, says="marketing, personalisation or analytics"),
    _EVENT_AT,
    Column(name="is_given", kind=Kind.FLAG, says="whether the member agrees"),
)

RAW_CONTROLS = _raw(
    "raw_controls",
    "Members whom a randomised campaign leaves out on purpose, to be compared with; nothing reached them.",
    ("member_id", "campaign_id"),
    MEMBER_ID,
    Column(name="campaign_id", kind=Kind.TEXT, says="which campaign"),
    Column(name="held_out_on", kind=Kind.DAY, says="the campaign's first day"),
)

# What clean judges: each landed row ends in silver, quarantine or replaced.
CLEANED_TABLES = (RAW_MEMBERS, RAW_PRODUCTS, RAW_ORDERS, RAW_CAMPAIGNS, RAW_TOUCHES)
# Mapped and landed like those; silver has no table for them yet, so clean leaves their rows in bronze.
RAW_TABLES_AHEAD = (RAW_CONTROLS, RAW_EVENTS, RAW_PAYMENTS, RAW_CHARGEBACKS, RAW_MESSAGES, RAW_CONSENTS)
RAW_TABLES = (*CLEANED_TABLES, *RAW_TABLES_AHEAD)
