"""What callers are told: the shape of every answer, from which the API's description is made."""

from __future__ import annotations

from datetime import date
from typing import Any

from pydantic import BaseModel, ConfigDict, Field


class Answer(BaseModel):
    model_config = ConfigDict(frozen=True)


class Problem(Answer):
    """What went wrong, in one sentence, and in which field of the request."""

    code: str = Field(examples=["unknown_member"])
    message: str
    field: str | None = Field(None, examples=["member_ids.3"])


class Failure(Answer):
    """The body of every answer that is no answer."""

    error: Problem
    request_id: str


class AnsweredBy(Answer):
    """The model and the day that it speaks for."""

    model: str = Field(examples=["churn/3"], description="task and version in the registry")
    architecture: str = Field(description="what kind of model it is; a baseline's name where the baseline is best")
    release_id: str = Field(description="the release whose members were scored")
    as_of: date = Field(description="the day before which everything was known")


class MemberChurn(Answer):
    """One member's answer: a score, or an error of its own."""

    member_id: str
    score: float | None = Field(None, ge=0, le=1, description="calibrated probability of no visit in the horizon")
    is_active: bool | None = Field(
        None, description="whether the member visited lately enough to be one of those whom the model learnt from"
    )
    error: Problem | None = None


class ChurnAnswer(AnsweredBy):
    horizon_days: int = Field(description="churn is no visit in so many days from as_of on")
    answers: list[MemberChurn] = Field(description="one for each id, in the order asked")


class Item(Answer):
    product_id: str
    name: str | None = Field(description="as the catalogue calls it; null where it does not")
    category: str | None
    score: float = Field(description="orders the items of one member; no probability")


class MemberItems(Answer):
    """One member's items, best first, or an error of its own."""

    member_id: str
    items: list[Item] | None = None
    error: Problem | None = None


class RecommendationsAnswer(AnsweredBy):
    include_bought: bool
    answers: list[MemberItems] = Field(description="one for each id, in the order asked")


class Profile(Answer):
    """What is known of a member, in the shop's own calendar and currency."""

    stage: str
    known_since: date
    first_visit: date | None
    last_visit: date | None
    visits: int = Field(description="days with a basket, ever")
    spend_minor: int = Field(description="paid ever, net of returns, in minor units of the currency")
    currency: str
    demographics: dict[str, Any] = Field(description="those personal columns that this service may show")


class ChurnPart(AnsweredBy):
    score: float
    is_active: bool
    horizon_days: int


class ItemsPart(AnsweredBy):
    items: list[Item]


class MemberAnswer(Answer):
    """A member at a glance; a part is null where its model is not in service or answers for a release that does not
    know the member, and ``unavailable`` says why."""

    member_id: str
    release_id: str
    as_of: date
    profile: Profile
    churn: ChurnPart | None
    recommendations: ItemsPart | None
    unavailable: dict[str, str]


class ModelState(Answer):
    """How a model stands; ``says`` is one sentence where the champion is not what answers."""

    task: str
    is_ready: bool
    version: str | None
    champion: str | None
    model: str | None
    trained_on_release: str | None
    release_id: str | None
    as_of: str | None
    device: str | None
    says: str


class Readiness(Answer):
    is_ready: bool
    says: str = Field(default="", description="what keeps all models from answering, where something does")
    models: dict[str, ModelState]


class Health(Answer):
    is_healthy: bool
