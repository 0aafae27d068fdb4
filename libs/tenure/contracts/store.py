"""The MemberStore: what a release knows of every member on its newest ``as_of``, by key, for whoever answers requests.

Every file has one record batch for each part of a bucket, sorted by ``member_key``. A member's bucket is ``member_key``
modulo the shop's buckets, its part the range of keys that its key lies in, and its row is found by binary search.
Offsets count rows of the same part's batch in the other file.
"""

from __future__ import annotations

from tenure.contracts.gold import BUCKET, member_events, member_features
from tenure.contracts.landing import RAW_PRODUCTS
from tenure.contracts.shop import Shop
from tenure.contracts.silver import MEMBER_KEY
from tenure.contracts.table import Column, Kind, Layer, Table


def _offset(name: str, says: str) -> Column:
    return Column(name=name, kind=Kind.COUNT, says=says, low=0)


EVENTS_FROM = _offset("events_from", "the member's first row among the bucket's events")
EVENTS_TO = _offset("events_to", "the row after the member's last among the bucket's events")
HISTORY_FROM = _offset("history_from", "the member's first row among the bucket's histories")
HISTORY_TO = _offset("history_to", "the row after the member's last among the bucket's histories")

STORE_HISTORIES = Table(
    name="histories",
    layer=Layer.STORE,
    says="What a member bought before as_of and did not wholly take back, as known before it.",
    key=("member_key", "product"),
    columns=(
        BUCKET,
        MEMBER_KEY,
        Column(name="product", kind=Kind.COUNT, says="row of the product among the store's products", low=0),
        Column(name="times", kind=Kind.COUNT, says="lines bought less lines wholly taken back", low=1),
    ),
    sort_by=("member_key", "product"),
)
STORE_PRODUCTS = Table(
    name="products",
    layer=Layer.STORE,
    says="The catalogue as known before as_of, and what was bought without being in it.",
    key=("product_id",),
    columns=(
        RAW_PRODUCTS.column("product_id"),
        RAW_PRODUCTS.column("product_name"),
        RAW_PRODUCTS.column("category"),
        RAW_PRODUCTS.column("product_type"),
    ),
)


def store_members(shop: Shop) -> Table:
    """A row of ``member_features`` and the places of the member's events and history."""
    features = member_features(shop)
    return Table(
        name="members",
        layer=Layer.STORE,
        says="What was known of a member before as_of, and where the member's events and history lie.",
        key=("member_key",),
        columns=(*features.columns, EVENTS_FROM, EVENTS_TO, HISTORY_FROM, HISTORY_TO),
        sort_by=("member_key",),
    )


def store_events(shop: Shop) -> Table:
    """The member's newest events before ``as_of``, oldest first."""
    events = member_events(shop)
    return Table(
        name="events",
        layer=Layer.STORE,
        says="A member's newest events known before as_of, oldest first, one a day.",
        key=("member_key", "day"),
        columns=events.columns,
        sort_by=("member_key", "day"),
    )


def store_tables(shop: Shop) -> tuple[Table, ...]:
    return (store_members(shop), store_events(shop), STORE_HISTORIES, STORE_PRODUCTS)
