"""What callers may ask and what they are told, said once: request models, answers and the API's description follow.

In a request ``low`` and ``high`` of a list bound how many it holds, those of a number bound the number.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from tenure.contracts.landing import MEMBER_ID as _MEMBER_ID
from tenure.contracts.table import Column, Kind

MEMBERS_PER_REQUEST = 1000
ITEMS_PER_MEMBER = 100
MEMBER_ID_LENGTH = 256  # characters of the shop's own id

MEMBER_IDS = Column(
    name="member_ids",
    kind=Kind.TEXTS,
    says=f"the shop's own ids of 1 to {MEMBERS_PER_REQUEST} members",
    low=1,
    high=MEMBERS_PER_REQUEST,
    personal=_MEMBER_ID.personal,
)
K = Column(name="k", kind=Kind.COUNT, says="how many items for each member", low=1, high=ITEMS_PER_MEMBER)
INCLUDE_BOUGHT = Column(
    name="include_bought",
    kind=Kind.FLAG,
    says="whether items that the member bought before may appear; without them every item is new to the member",
)


@dataclass(frozen=True, kw_only=True)
class Request:
    """One kind of question: ``columns`` are the fields of a JSON object, ``defaults`` those that may be left out."""

    name: str
    says: str
    columns: tuple[Column, ...]
    defaults: tuple[tuple[str, Any], ...] = ()


CHURN_REQUEST = Request(
    name="ChurnRequest",
    says="Whose probability to churn is asked for.",
    columns=(MEMBER_IDS,),
)
RECOMMENDATIONS_REQUEST = Request(
    name="RecommendationsRequest",
    says="For whom items are asked for, and which.",
    columns=(MEMBER_IDS, K, INCLUDE_BOUGHT),
    defaults=(("k", 10), ("include_bought", False)),
)

REQUESTS = (CHURN_REQUEST, RECOMMENDATIONS_REQUEST)
