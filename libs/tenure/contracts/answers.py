"""What the models say about members at a release, keyed so that a rerun replaces its own rows."""

from __future__ import annotations

from tenure.contracts.gold import AS_OF, BUCKET
from tenure.contracts.silver import MEMBER_KEY
from tenure.contracts.table import Column, Kind, Layer, Table

_MODEL_VERSION = Column(name="model_version", kind=Kind.TEXT, says="name and version in the registry")
_RELEASE_ID = Column(name="release_id", kind=Kind.TEXT, says="the release that was scored")

MEMBER_SCORES = Table(
    name="member_scores",
    layer=Layer.ANSWERS,
    says="One score a member, task and as_of.",
    key=("member_key", "as_of", "task"),
    columns=(
        BUCKET,
        MEMBER_KEY,
        AS_OF,
        Column(name="task", kind=Kind.TEXT, says="the task, as in 'churn'"),
        Column(name="score", kind=Kind.NUMBER, says="calibrated probability", low=0, high=1),
        _MODEL_VERSION,
        _RELEASE_ID,
    ),
    partition_by=("bucket",),
)
RECOMMENDATIONS = Table(
    name="recommendations",
    layer=Layer.ANSWERS,
    says="The best items for a member, best first.",
    key=("member_key", "as_of", "include_bought", "rank"),
    columns=(
        BUCKET,
        MEMBER_KEY,
        AS_OF,
        Column(name="include_bought", kind=Kind.FLAG, says="whether items that the member bought before may appear"),
        Column(name="rank", kind=Kind.COUNT, says="place, from 1", low=1),
        Column(name="product_id", kind=Kind.TEXT, says="the item"),
        Column(name="score", kind=Kind.NUMBER, says="orders the items of one member; no probability"),
        _MODEL_VERSION,
        _RELEASE_ID,
    ),
    partition_by=("bucket",),
)

ANSWER_TABLES = (MEMBER_SCORES, RECOMMENDATIONS)
