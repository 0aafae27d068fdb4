"""The story's parameters, a group for each of its parts. Their values and where they come from stand in the YAML."""

from __future__ import annotations

from datetime import date
from typing import Literal

from pydantic import Field, model_validator

from tenure.config.settings import Settings
from tenure.simulation.numbering import DAYS_AN_ORDER_NO, LINES_AN_ORDER

Share = float
CAUSES = ("late_delivery", "stock_out", "price_rise", "bad_quality", "unanswered_complaint", "unwanted_campaign")
RESPONSES = ("persuadable", "sure_thing", "lost_cause", "do_not_disturb")
PURPOSES = ("marketing", "personalisation", "analytics")


class Channel(Settings):
    """``rate`` and ``drop_out`` multiply those of the members who come this way."""

    share: float = Field(gt=0)
    rate: float = Field(gt=0)
    drop_out: float = Field(gt=0)


class Acquisition(Settings):
    carried_over: float = Field(ge=0, le=1)
    mean_days_before: float = Field(gt=0)
    within_days: int = Field(gt=0)
    channels: dict[str, Channel]
    ages: dict[str, float]
    households: dict[str, float]
    untold_share: Share = Field(ge=0, le=1)


class Purchasing(Settings):
    rate_shape: float = Field(gt=0)
    mean_gap_days: float = Field(gt=0)
    drop_out_a: float = Field(gt=0)
    drop_out_b: float = Field(gt=0)
    rest: float = Field(ge=0, le=1)
    rest_gaps: float = Field(gt=0)
    newcomer_lift: float = Field(ge=0)
    newcomer_days: float = Field(gt=0)


class Peak(Settings):
    first: str  # MM-DD
    days: int = Field(gt=0)
    lift: float = Field(gt=0)


class Seasons(Settings):
    season_amplitude: float = Field(ge=0, lt=1)
    season_peak: str  # MM-DD
    weekdays: tuple[float, ...] = Field(min_length=7, max_length=7)
    hours: tuple[float, ...] = Field(min_length=24, max_length=24)
    sale_every_days: int = Field(gt=0)
    sale_days: int = Field(gt=0)
    sale_lift: float = Field(gt=0)
    sale_discount: float = Field(ge=0, lt=1)
    peaks: tuple[Peak, ...]


class Category(Settings):
    share: float = Field(gt=0)
    median_price: float = Field(gt=0)
    types: tuple[str, ...]


class Catalogue(Settings):
    products: int = Field(gt=0)
    brands: int = Field(gt=0)
    categories: dict[str, Category]
    price_sd: float = Field(ge=0)
    popularity_tail: float = Field(gt=0)
    new_share: float = Field(ge=0, lt=1)
    launched_within_days: int = Field(gt=0)
    novelty_lift: float = Field(ge=0)
    novelty_days: float = Field(gt=0)
    promotion_share: float = Field(ge=0, le=1)
    promotion_discount: tuple[float, float]

    @model_validator(mode="after")
    def _no_category_stands_empty(self) -> Catalogue:
        if self.products < len(self.categories):
            raise ValueError(f"products must be {len(self.categories)} or more: each category has one")
        return self


class Tastes(Settings):
    category_sd: float = Field(ge=0)
    dimensions: int = Field(gt=0)
    strength: float = Field(ge=0)
    candidates: int = Field(gt=0)
    favourites: int = Field(gt=0)
    favourite_skew: float = Field(gt=0)
    habit: float = Field(ge=0, le=1)


class Baskets(Settings):
    mean_lines: float = Field(ge=1)
    lines_shape: float = Field(gt=0)
    most_lines: int = Field(gt=0)
    more_units: float = Field(ge=0)
    bulk_share: float = Field(ge=0, le=1)
    bulk_median_units: float = Field(gt=0)
    bulk_sd: float = Field(ge=0)
    again_share: float = Field(ge=0, le=1)
    again_minutes: float = Field(gt=0)

    @model_validator(mode="after")
    def _every_line_has_a_number(self) -> Baskets:
        if self.most_lines > LINES_AN_ORDER:
            raise ValueError(f"most_lines must be {LINES_AN_ORDER} or fewer: an order has numbers for no more lines")
        return self


class Returns(Settings):
    share: float = Field(ge=0, le=1)
    share_when_bad: float = Field(ge=0, le=1)
    after_days: int = Field(gt=0)
    within_days: int = Field(gt=0)


class Incidents(Settings):
    effects: dict[str, float]
    half_life_days: float = Field(gt=0)
    patience_sd: float = Field(ge=0)
    delivery_days: int = Field(gt=0)
    late_share: float = Field(ge=0, le=1)
    late_share_disrupted: float = Field(ge=0, le=1)
    disrupted_share: float = Field(ge=0, le=1)
    mean_days_late: float = Field(gt=0)
    stock_out_share: float = Field(ge=0, le=1)
    defect_share: float = Field(ge=0, le=1)
    defect_sd: float = Field(ge=0)
    complaint_share: float = Field(ge=0, le=1)
    unanswered_share: float = Field(ge=0, le=1)
    answer_days: int = Field(gt=0)
    price_rise_every_days: int = Field(gt=0)
    price_rise_share: float = Field(ge=0, le=1)
    price_rise: tuple[float, float]


class Tier(Settings):
    name: str
    from_spend: float = Field(ge=0)
    rate: float = Field(gt=0)
    discount: float = Field(ge=0, lt=1)


class Tiers(Settings):
    period_days: int = Field(gt=0)
    periods: int = Field(gt=0)
    grace_periods: int = Field(ge=0)
    levels: tuple[Tier, ...] = Field(min_length=1)


class Campaigns(Settings):
    first_day: int = Field(ge=0)
    every_days: int = Field(gt=0)
    days: int = Field(gt=0)
    measured_days: int = Field(gt=0)
    randomised_share: float = Field(gt=0, lt=1)
    targeted_from_spend: float = Field(ge=0)
    targeted_share: float = Field(gt=0, lt=1)
    untargeted_share: float = Field(gt=0, lt=1)
    responses: dict[str, float]
    persuadable_lift: float = Field(ge=0)
    disturbed_drop: float = Field(ge=0, le=1)
    redeemed_share: float = Field(ge=0, le=1)
    coupon: tuple[float, float]
    contact_cost: float = Field(ge=0)

    @model_validator(mode="after")
    def _one_at_a_time(self) -> Campaigns:
        if max(self.days, self.measured_days) > self.every_days:
            raise ValueError("days and measured_days must not be longer than every_days: campaigns run one at a time")
        if set(self.responses) != set(RESPONSES):
            raise ValueError(f"responses must say the shares of {', '.join(RESPONSES)}")
        return self


class Consent(Settings):
    given: dict[str, float]
    withdrawn_a_day: float = Field(ge=0, lt=1)
    given_again_a_day: float = Field(ge=0, lt=1)


class Stars(Settings):
    """Of a review: normal, rounded and cut to 1 to 5."""

    mean: float
    sd: float = Field(ge=0)
    less_when_bad: float = Field(ge=0)
    less_when_late: float = Field(ge=0)


class Sessions(Settings):
    browsing_an_order: float = Field(ge=0)
    views: float = Field(ge=0)
    searches: float = Field(ge=0)
    clicks: float = Field(ge=0)
    favourite_share: float = Field(ge=0, le=1)
    cart_share: float = Field(ge=0, le=1)
    review_share: float = Field(ge=0, le=1)
    review_after_days: int = Field(gt=0)
    stars: Stars
    seconds_between: float = Field(gt=0)
    late_riser_share: float = Field(ge=0, le=1)
    late_riser_hours: int = Field(ge=0)
    usual_store_share: float = Field(ge=0, le=1)
    clock_sd_seconds: float = Field(ge=0)
    devices: dict[str, float]
    regions: dict[str, float]
    stores: dict[str, float]


class Fraud(Settings):
    takeover_a_day: float = Field(ge=0, lt=1)
    testers: float = Field(ge=0, lt=1)
    tests_each: float = Field(ge=0)
    abusers: float = Field(ge=0, lt=1)
    abuse_share: float = Field(ge=0, le=1)
    test_amount: tuple[float, float]
    tests_approved_share: float = Field(ge=0, le=1)
    seconds_between_tests: float = Field(gt=0)
    rings: int = Field(gt=0)
    devices_a_ring: int = Field(gt=0)
    declined_share: float = Field(ge=0, le=1)
    seconds_until_retry: float = Field(gt=0)
    reported_share: float = Field(ge=0, le=1)
    reported_from_days: int = Field(gt=0)
    reported_after_days: float = Field(gt=0)
    payment_methods: dict[str, float]


class Messages(Settings):
    question_share: float = Field(ge=0, le=1)
    late_question_share: float = Field(ge=0, le=1)
    mean_answer_hours: float = Field(gt=0)
    given_up_after_days: int = Field(ge=0)


class Faults(Settings):
    """Shares of rows, all of them multiplied by ``strength``: 0 for a clean landing."""

    strength: float = Field(ge=0)
    exact_duplicate: Share = Field(ge=0, le=1)
    key_duplicate: Share = Field(ge=0, le=1)
    near_duplicate: Share = Field(ge=0, le=1)
    gap: Share = Field(ge=0, le=1)
    out_of_range: Share = Field(ge=0, le=1)
    negative_price: Share = Field(ge=0, le=1)
    mistyped: Share = Field(ge=0, le=1)
    broken_encoding: Share = Field(ge=0, le=1)
    late_file: Share = Field(ge=0, le=1)
    late_day: Share = Field(ge=0, le=1)
    late_day_most_days: int = Field(gt=0)
    clock_skew: Share = Field(ge=0, le=1)
    unknown_member: Share = Field(ge=0, le=1)
    unknown_product: Share = Field(ge=0, le=1)
    return_without_sale: Share = Field(ge=0, le=1)
    dearer: tuple[float, float]
    near_mean_seconds: float = Field(gt=0)
    near_most_seconds: float = Field(gt=0)
    magnitude_median: float = Field(gt=0)
    magnitude_sd: float = Field(ge=0)
    skew_median_minutes: float = Field(gt=0)
    skew_sd: float = Field(ge=0)
    mean_days_late: float = Field(gt=0)


class Truths(Settings):
    """The ``as_of`` days of the truth, counted from the first day, and what is asked of each."""

    first_as_of: int = Field(ge=0)
    every_days: int = Field(gt=0)
    horizon_days: int = Field(gt=0)
    activity_days: int = Field(gt=0)
    counterfactuals: bool


class Story(Settings):
    """Everything that decides what happens; where and how it is written is ``SimulateShop``'s."""

    seed: int
    start: date
    currency: str
    calendar: str
    acquisition: Acquisition
    purchasing: Purchasing
    seasons: Seasons
    catalogue: Catalogue
    tastes: Tastes
    baskets: Baskets
    returns: Returns
    incidents: Incidents
    tiers: Tiers
    campaigns: Campaigns
    consent: Consent
    sessions: Sessions
    fraud: Fraud
    messages: Messages


FEEDS = (
    "members",
    "products",
    "orders",
    "campaigns",
    "touches",
    "controls",
    "events",
    "payments",
    "chargebacks",
    "messages",
    "consents",
)


class SimulateShop(Story):
    """``members`` numbers those who ever join; ``partitions`` cuts them into blocks, one after the other in memory. The
    last ``nights`` days land in a folder of their own each."""

    folder: str
    members: int = Field(gt=0, le=90_000_000)  # numbers from there on are nobody's, and --faults makes use of them
    days: int = Field(gt=0)
    nights: int = Field(ge=0)
    format: Literal["parquet", "csv", "json"]
    feeds: tuple[str, ...]
    partitions: int | None = Field(default=None, gt=0)
    largest_partition: int = Field(gt=0)
    processes: int = Field(gt=0)
    faults: Faults
    truth: Truths

    @model_validator(mode="after")
    def _sales_before_returns(self) -> SimulateShop:
        if self.faults.late_day_most_days >= self.returns.after_days:
            raise ValueError("faults.late_day_most_days must be less than returns.after_days: a sale lands first")
        return self

    @model_validator(mode="after")
    def _every_day_has_a_number(self) -> SimulateShop:
        if self.days > DAYS_AN_ORDER_NO:
            raise ValueError(f"days must be {DAYS_AN_ORDER_NO} or fewer: orders have numbers for no more days")
        return self

    @model_validator(mode="after")
    def _one_campaign_a_horizon(self) -> SimulateShop:
        if self.truth.horizon_days > self.campaigns.every_days:
            raise ValueError(
                "truth.horizon_days must not be longer than campaigns.every_days: the chance of silence is known for"
                " one campaign that starts meanwhile"
            )
        return self

    @model_validator(mode="after")
    def _days_before_nights(self) -> SimulateShop:
        if self.nights >= self.days:
            raise ValueError("nights must be less than days: they follow on what landed before")
        return self
