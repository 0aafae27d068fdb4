"""Clean rows: typed, unique, in range, pseudonymous, each with the day from which it could have been known.

``batch_id`` and ``position`` lead from every row back to what landed. ``flags`` names the rules that changed or marked
the row and left it here; a row that a rule took out stands in ``quarantine`` or in ``replaced``.
"""

from __future__ import annotations

from tenure.contracts.landing import (
    BATCH_ID,
    BATCH_NO,
    DEMOGRAPHICS,
    KNOWN_ON,
    MEMBER_ID,
    POSITION,
    RAW_CAMPAIGNS,
    RAW_ORDERS,
    RAW_PRODUCTS,
)
from tenure.contracts.table import Column, Has, Kind, Layer, Table

MEMBER_KEY = Column(
    name="member_key",
    kind=Kind.KEY,
    says="the member's pseudonym: first 8 bytes of the HMAC-SHA256 of the shop's id, as a signed big-endian integer",
)
DAY = Column(name="day", kind=Kind.DAY, says="the shop's local day on which it happened")
FLAGS = Column(name="flags", kind=Kind.TEXTS, says="rules that changed or marked the row")
LINEAGE = (BATCH_ID, BATCH_NO, POSITION)

MEMBERS = Table(
    name="members",
    layer=Layer.SILVER,
    says=(
        "Versions of what is known of a member; the newest one known before a day counts on that day, and of several "
        "known on one day the newest batch's. The flag first_seen marks a member without a row of registration so far."
    ),
    key=("member_key", "known_on", "batch_no"),
    columns=(
        MEMBER_KEY,
        Column(name="registered_on", kind=Kind.DAY, says="day of registration", nullable=True),
        *DEMOGRAPHICS,
        KNOWN_ON,
        FLAGS,
        *LINEAGE,
    ),
)
MEMBER_IDENTITIES = Table(
    name="member_identities",
    layer=Layer.SILVER,
    says="The only way back from a member_key to the shop's own id.",
    key=("member_key",),
    columns=(MEMBER_KEY, MEMBER_ID, BATCH_NO),
)
PRODUCTS = Table(
    name="products",
    layer=Layer.SILVER,
    says=(
        "Versions of the catalogue; the newest one known by a line's known_on is that line's, and of several known on "
        "one day the newest batch's."
    ),
    key=("product_id", "known_on", "batch_no"),
    columns=(*RAW_PRODUCTS.columns[:-1], KNOWN_ON, FLAGS, *LINEAGE),
)
ORDER_LINES = Table(
    name="order_lines",
    layer=Layer.SILVER,
    says="What was bought and what was taken back. Lines without a member stay, for products and revenue.",
    key=("line_key",),
    columns=(
        Column(name="line_key", kind=Kind.KEY, says="hash of what makes a line unique in its shop"),
        RAW_ORDERS.column("order_id"),
        Column(name="member_key", kind=Kind.KEY, says="who bought; null where nobody knows", nullable=True),
        RAW_ORDERS.column("product_id"),
        RAW_ORDERS.column("occurred_at"),
        Column(
            name="day",
            kind=Kind.DAY,
            says="the shop's local day of the purchase; of a return: the day of the purchase that it takes back",
        ),
        Column(name="hour", kind=Kind.COUNT, says="the shop's local hour", low=0, high=23, needs=Has.HOURS),
        RAW_ORDERS.column("quantity"),
        Column(name="currency", kind=Kind.TEXT, says="ISO 4217 code of the currency of the line's money: the shop's"),
        RAW_ORDERS.column("paid_minor"),
        RAW_ORDERS.column("discount_minor"),
        RAW_ORDERS.column("coupon_minor"),
        Column(
            name="category",
            kind=Kind.TEXT,
            says="the product's category as known when the line was",
            nullable=True,
            needs=Has.CATEGORIES,
        ),
        RAW_ORDERS.column("store_id"),
        RAW_ORDERS.column("is_return"),
        Column(name="corrects", kind=Kind.KEY, says="the line_key of the line that a return takes back", nullable=True),
        KNOWN_ON,
        FLAGS,
        *LINEAGE,
    ),
    # A night asks for the lines of few days: side by side, the others are passed over page by page.
    sort_by=("day",),
)
CAMPAIGNS = Table(
    name="campaigns",
    layer=Layer.SILVER,
    says="Versions of campaigns and how long they ran; of several known on one day the newest batch's counts.",
    key=("campaign_id", "known_on", "batch_no"),
    columns=(*RAW_CAMPAIGNS.columns[:-1], KNOWN_ON, FLAGS, *LINEAGE),
)
CAMPAIGN_TOUCHES = Table(
    name="campaign_touches",
    layer=Layer.SILVER,
    says="What campaigns did to members, and what members did with it.",
    key=("touch_key",),
    columns=(
        Column(name="touch_key", kind=Kind.KEY, says="hash of member, campaign, kind, day and item"),
        MEMBER_KEY,
        Column(name="campaign_id", kind=Kind.TEXT, says="which campaign"),
        Column(name="touch_kind", kind=Kind.TEXT, says="targeted or redeemed"),
        DAY,
        Column(name="item", kind=Kind.TEXT, says="which coupon or message", nullable=True),
        KNOWN_ON,
        FLAGS,
        *LINEAGE,
    ),
)

SILVER_TABLES = (MEMBERS, MEMBER_IDENTITIES, PRODUCTS, ORDER_LINES, CAMPAIGNS, CAMPAIGN_TOUCHES)
