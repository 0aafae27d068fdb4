"""Where a member stands in the relation to the shop, in the shop's own rhythm.

The stages follow the customer life cycle of the trade (reach, first purchase, repeat purchase, established customer,
loyal customer, lapsed customer). Nothing in them is a number of days of ours: how recent is recent comes from the
shop's ``activity_days``, how regular is regular from its ``horizon_days``, so that a grocer's weekly customer and a
gift shop's quarterly one are told by the same rule.
"""

from __future__ import annotations

from tenure.contracts.shop import Shop
from tenure.lifecycle.rules import Case, Condition, Is, Rule

ACQUISITION = "acquisition"
ACTIVATION = "activation"
CONVERSION = "conversion"
RETENTION = "retention"
LOYALTY = "loyalty"
LAPSED = "lapsed"

STAGES = (ACQUISITION, ACTIVATION, CONVERSION, RETENTION, LOYALTY, LAPSED)

VISITS_A_HORIZON_WHEN_LOYAL = 4


def stage(shop: Shop) -> Rule:
    """The stage of a member, from ``member_features`` of one ``as_of``.

    - acquisition: known, but never visited;
    - lapsed: silent for longer than ``activity_days``;
    - activation: came once, within ``activity_days``;
    - conversion: came again, and the first visit is no older than ``activity_days``: a new repeat customer;
    - loyalty: an established customer who comes at least four times in ``horizon_days`` on average, and came within it;
    - retention: every other established customer who still comes.
    """
    is_quiet_for = "days_since_last_visit"
    return Rule(
        cases=(
            Case(ACQUISITION, (Condition(is_quiet_for, Is.MISSING),)),
            Case(LAPSED, (Condition(is_quiet_for, Is.MORE_THAN, shop.activity_days),)),
            Case(ACTIVATION, (Condition("lifetime_visits", Is.AT_MOST, 1),)),
            Case(CONVERSION, (Condition("days_since_first_visit", Is.AT_MOST, shop.activity_days),)),
            Case(
                LOYALTY,
                (
                    Condition("mean_gap_days", Is.AT_MOST, shop.horizon_days / VISITS_A_HORIZON_WHEN_LOYAL),
                    Condition(is_quiet_for, Is.AT_MOST, shop.horizon_days),
                ),
            ),
        ),
        otherwise=RETENTION,
    )
