"""The product's own rules for rows, by name: a source's rules stand in its YAML and say themselves what they mean."""

from __future__ import annotations

from collections.abc import Mapping

BROKEN_ENCODING = "broken_encoding"
UNREADABLE_LINE = "unreadable_line"
IN_THE_FUTURE = "in_the_future"
NEGATIVE_PRICE = "negative_price"
NEGATIVE_QUANTITY = "negative_quantity"
POSITIVE_RETURN = "positive_return"
EXACT_DUPLICATE = "exact_duplicate"
KEY_DUPLICATE = "key_duplicate"
LANDED_BEFORE = "landed_before"
RESTATED = "restated"
UNCHANGED = "unchanged"
TAKEN_BACK_SAME_DAY = "taken_back_same_day"
RETURN_WITHOUT_SALE = "return_without_sale"
RETURN_WITHOUT_MEMBER = "return_without_member"
DAY_SHIFTED = "day_shifted"
CAMPAIGN_UNKNOWN = "campaign_unknown"
FIRST_SEEN = "first_seen"


def missing(column: str) -> str:
    return f"missing_{column}"


def out_of_range(column: str) -> str:
    return f"{column}_out_of_range"


RULES: Mapping[str, str] = {
    BROKEN_ENCODING: "a text that the feed reads holds bytes that are none in the file's encoding; quarantined",
    UNREADABLE_LINE: "a line has not the columns that its file's first line names; quarantined",
    IN_THE_FUTURE: "it happened after it was known, or was known only after its batch arrived (of a load of the past: "
    "after the source's last_complete_day, or else the day of the load); quarantined",
    NEGATIVE_PRICE: "a sale of less than no money; quarantined",
    NEGATIVE_QUANTITY: "a sale of less than no goods; quarantined",
    POSITIVE_RETURN: "a return that brings goods or money instead of taking them back; quarantined",
    EXACT_DUPLICATE: "the batch holds the same row before it; dropped for that one",
    KEY_DUPLICATE: "the batch holds another row with the same key before it; dropped for that one",
    LANDED_BEFORE: "an earlier batch brought a row with the same key (a version: for the same day, saying the same); "
    "dropped for that one",
    RESTATED: "an earlier batch brought a row with the same key and another quantity or other money; the first one "
    "stands, dropped for that one",
    UNCHANGED: "a version that says what the version before it says; dropped for that one",
    TAKEN_BACK_SAME_DAY: "a sale and the return of all of it, both known on one day: together they come to nothing",
    RETURN_WITHOUT_SALE: "a return of something that the member had not bought, or not as much; quarantined",
    RETURN_WITHOUT_MEMBER: "a return by nobody known: kept on its own day, without the sale that it takes back",
    DAY_SHIFTED: "the shop's local day is not the day in UTC; kept, on the local day",
    CAMPAIGN_UNKNOWN: "the campaign is in no table; kept where the day is known, quarantined where it is not",
    FIRST_SEEN: "a member who was first seen in an order or a campaign, without a row of registration",
    missing("*"): "a value that no row can do without is missing or cannot be read; quarantined",
    out_of_range("*"): "a value lies outside of what its column can hold; quarantined",
}


def says(rule: str) -> str | None:
    """What one of the product's own rules means; None for a rule that is not the product's."""
    if rule in RULES:
        return RULES[rule]
    if rule.startswith("missing_"):
        return RULES[missing("*")]
    return RULES[out_of_range("*")] if rule.endswith("_out_of_range") else None
