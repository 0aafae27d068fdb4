"""What only a simulation knows. These tables judge the product; no feature, label or training may read them (a test).

They lie in a folder of their own beside the landing files, never below it, so that no source's glob finds them.
"""

from __future__ import annotations

from tenure.contracts.landing import MEMBER_ID
from tenure.contracts.table import Column, Kind, Layer, Table

# What is told of rows that are right, though something is unusual about them.
LATE_FILE = "late_file"
SALE_STRUCK = "sale_struck"
NO_RULE = "none"
_AS_OF = Column(name="as_of", kind=Kind.DAY, says="the day before which everything in the row happened")


def _truth(name: str, says: str, key: tuple[str, ...], *columns: Column) -> Table:
    return Table(name=name, layer=Layer.TRUTH, says=says, key=key, columns=columns)


def _share(name: str, says: str) -> Column:
    return Column(name=name, kind=Kind.NUMBER, says=says, low=0, high=1)


def _money(name: str, says: str) -> Column:
    return Column(name=name, kind=Kind.MONEY, unit="minor", says=says)


TRUE_MEMBERS = _truth(
    "true_members",
    "What was settled about a member before the first order.",
    ("member_id",),
    MEMBER_ID,
    Column(name="joined_on", kind=Kind.DAY, says="day of registration"),
    Column(name="channel", kind=Kind.TEXT, says="how the member came"),
    Column(name="inviter", kind=Kind.TEXT, says="member_id of who invited the member", nullable=True),
    Column(name="orders_a_day", kind=Kind.NUMBER, says="order rate on an ordinary day", low=0),
    _share("drop_out", "chance of leaving after an order"),
    Column(name="patience", kind=Kind.NUMBER, says="multiplies what incidents do; larger is less patient", low=0),
    Column(name="response", kind=Kind.TEXT, says="persuadable, sure_thing, lost_cause or do_not_disturb"),
    Column(name="is_tester", kind=Kind.FLAG, says="whether the account only tries cards"),
    Column(name="is_abuser", kind=Kind.FLAG, says="whether the member claims refunds for what arrived"),
)
TRUE_TASTES = _truth(
    "true_tastes",
    "How a member's wishes divide over the categories.",
    ("member_id", "category"),
    MEMBER_ID,
    Column(name="category", kind=Kind.TEXT, says="the category"),
    _share("share", "chance that a basket line that is not bought by habit is of the category: the taste itself"),
    _share(
        "wanted_share",
        "chance that what a basket line is first meant to be is of the category, habit included; before stock-outs, "
        "and before a product that is in the basket already is left out",
    ),
)
TRUE_STATES = _truth(
    "true_states",
    "What is true of a member on an as_of, and how likely silence is from then on.",
    ("member_id", "as_of"),
    MEMBER_ID,
    _AS_OF,
    Column(name="stage", kind=Kind.TEXT, says="lifecycle stage, by who has left instead of who is silent"),
    Column(name="tier", kind=Kind.TEXT, says="level of the tier programme"),
    Column(name="has_left", kind=Kind.FLAG, says="whether the member has left for good"),
    Column(name="is_at_risk", kind=Kind.FLAG, says="whether an order lies within the activity days before as_of"),
    Column(name="leave_hazard", kind=Kind.NUMBER, says="hazard of leaving on the day, through incidents", low=0),
    _share("still_here", "chance of not having left, given all traits and all orders"),
    _share("no_order_given_hidden", "chance of no order in the horizon for who also knows who has left"),
    _share("no_order_given_history", "chance of no order in the horizon given all traits and all orders"),
)
TRUE_OUTCOMES = _truth(
    "true_outcomes",
    "Whether a member of true_states ordered in the horizon after an as_of; told once it has passed.",
    ("member_id", "as_of"),
    MEMBER_ID,
    _AS_OF,
    Column(
        name="no_order",
        kind=Kind.FLAG,
        says="whether no order was placed; one that came back counts, and so does one by who took the account over",
    ),
)
TRUE_CEILINGS = _truth(
    "true_ceilings",
    "The best expected ROC AUC of 'no order in the horizon' among members at risk, by what is known.",
    ("as_of",),
    _AS_OF,
    Column(name="members", kind=Kind.COUNT, says="members at risk", low=0),
    Column(name="silent", kind=Kind.NUMBER, says="of whom this many are expected not to order", low=0),
    _share("best_auc_given_hidden", "best AUC for who also knows who has left"),
    _share("best_auc_given_history", "best AUC for who knows all traits and all orders"),
)
_CAUSES = ("late_delivery", "stock_out", "price_rise", "bad_quality", "unanswered_complaint", "unwanted_campaign")
TRUE_LEAVERS = _truth(
    "true_leavers",
    "Who left for good, why, and how likely it would have been without each kind of incident. What a single incident "
    "adds on the day of leaving follows from true_incidents.",
    ("member_id",),
    MEMBER_ID,
    Column(name="left_on", kind=Kind.DAY, says="first day on which the member was gone"),
    Column(name="cause", kind=Kind.TEXT, says="faded after an order, or the incident that did it"),
    _share("chance", "chance of leaving on that day: after the order if faded, through incidents if not"),
    *(_share(f"chance_without_{cause}", f"the same without every {cause.replace('_', ' ')}") for cause in _CAUSES),
)
TRUE_INCIDENTS = _truth(
    "true_incidents",
    "What went wrong for a member and what it added to the daily hazard of leaving; it halves every half-life. "
    "The hazard of a day is the sum of what is left of all that was felt by then; 1 - exp(-hazard) is the chance of "
    "leaving. What an order brings is told when it is placed, also where the member leaves before it is felt.",
    ("member_id", "happened_on", "cause", "felt_on"),
    MEMBER_ID,
    Column(name="cause", kind=Kind.TEXT, says="the kind of incident"),
    Column(
        name="happened_on", kind=Kind.DAY, says="day of the order, of the price rise, or on which the campaign started"
    ),
    Column(name="felt_on", kind=Kind.DAY, says="day from which on it is felt"),
    Column(name="hazard", kind=Kind.NUMBER, says="added to the daily hazard on that day", low=0),
)
TRUE_EFFECTS = _truth(
    "true_effects",
    "What a campaign does to a member: spend with it and without it, all other chance being the same. Spend is what "
    "the member paid for own orders, those placed twice counted twice. What comes back later is not taken off, and "
    "what thieves of the account order is not counted; the tier programme counts the same way.",
    ("campaign_id", "member_id"),
    Column(name="campaign_id", kind=Kind.TEXT, says="the campaign"),
    MEMBER_ID,
    Column(name="response", kind=Kind.TEXT, says="the member's kind of response"),
    Column(name="is_treated", kind=Kind.FLAG, says="whether the campaign addressed the member"),
    _share("propensity", "chance that it would"),
    _money("spend_with_minor", "spend in the measured days if addressed"),
    _money("spend_without_minor", "spend in the measured days if not"),
    _money("cost_minor", "cost of addressing the member"),
)
TRUE_PAYMENTS = _truth(
    "true_payments",
    "The true kind of every payment.",
    ("payment_id",),
    Column(name="payment_id", kind=Kind.TEXT, says="the payment"),
    Column(name="kind", kind=Kind.TEXT, says="honest, account_takeover, card_testing or refund_abuse"),
    Column(name="ring", kind=Kind.COUNT, says="ring of the thieves", nullable=True),
)
TRUE_FAULTS = _truth(
    "true_faults",
    "Every fault that was injected into the landing files: the row, the rule that should find it. Nothing is wrong "
    f"with rows of {LATE_FILE}, which came later, and of {SALE_STRUCK}, which take back a sale that was struck; their "
    f"rule is {NO_RULE}.",
    ("table", "export_id", "fault"),
    Column(name="table", kind=Kind.TEXT, says="the raw table"),
    Column(name="export_id", kind=Kind.KEY, says="the row's number in the shop's export; an exact copy shares it"),
    Column(name="fault", kind=Kind.TEXT, says="what was done to the row"),
    Column(name="rule", kind=Kind.TEXT, says="the cleaning rule that should find it"),
    Column(name="column", kind=Kind.TEXT, says="the landed column that it is in", nullable=True),
    Column(name="magnitude", kind=Kind.NUMBER, says="how large, where that can be said", nullable=True),
    Column(name="is_separable", kind=Kind.FLAG, says="whether no honest row looks like it"),
    Column(name="landed_on", kind=Kind.DAY, says="day of the landing file that holds the row"),
)

TRUTH_TABLES = (
    TRUE_MEMBERS,
    TRUE_TASTES,
    TRUE_STATES,
    TRUE_OUTCOMES,
    TRUE_CEILINGS,
    TRUE_LEAVERS,
    TRUE_INCIDENTS,
    TRUE_EFFECTS,
    TRUE_PAYMENTS,
    TRUE_FAULTS,
)
