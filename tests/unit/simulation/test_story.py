"""Whether the parts of the story do what they say."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow.compute as pc
import pytest
from tests.unit.simulation.numbers import made_of
from tests.unit.simulation.small_shop import small_shop, table

from tenure.simulation import consent, tiers
from tenure.simulation.baskets import fill, wanted_shares
from tenure.simulation.calendar import Calendar
from tenure.simulation.catalogue import Catalogue
from tenure.simulation.chance import Chance
from tenure.simulation.life import Life, World
from tenure.simulation.members import NOBODY, joined_on, member_id, members
from tenure.simulation.simulate import Outcome, simulate
from tenure.simulation.state import State, fresh

RARE = ("unanswered_complaint", "unwanted_campaign")


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("story")
    simulate(small_shop(folder, "members=1500", "days=64"))
    return folder


def test_a_members_number_shows_a_slip() -> None:
    assert member_id(1234) == "M0000123470"  # 1234 = 12 * 97 + 70


def test_an_inviter_was_there_before(tmp_path: Path) -> None:
    story = small_shop(tmp_path)
    people = members(story, Catalogue(story, Calendar(story)), np.arange(5000))
    invited = people.inviter != NOBODY
    assert invited.sum() > 300
    assert np.all(joined_on(story, people.inviter[invited]) < people.joined[invited])
    assert np.all(people.inviter[invited] < people.number[invited])


def test_tiers_rise_at_once_and_fall_after_a_grace_period_one_level_at_a_time(tmp_path: Path) -> None:
    story = small_shop(tmp_path)
    people = members(story, Catalogue(story, Calendar(story)), np.arange(1))
    state, seen = fresh(story, people), []
    state.spend[0] = 600.0  # gold, for as long as it counts: three periods
    for period in range(1, 9):
        tiers.review(story.tiers, state, period * story.tiers.period_days)
        seen.append(int(state.tier[0]))
    assert seen == [2, 2, 2, 2, 1, 1, 0, 0]


def test_consent_ahead_is_the_chain_of_two_states(tmp_path: Path) -> None:
    settings = small_shop(tmp_path, "consent.withdrawn_a_day=0.1", "consent.given_again_a_day=0.2").consent
    after_one = consent.chance_after(settings, np.array([True, False]), 1)
    assert after_one == pytest.approx([0.9, 0.2])
    after_two = consent.chance_after(settings, np.array([True]), 2)
    assert after_two == pytest.approx([0.9 * 0.9 + 0.1 * 0.2])


def test_lines_are_of_the_categories_that_the_truth_says(tmp_path: Path) -> None:
    story = small_shop(tmp_path, "incidents.stock_out_share=0", "baskets.mean_lines=1")
    catalogue = Catalogue(story, Calendar(story))
    people = members(story, catalogue, np.arange(3))
    shelf, nothing = catalogue.shelf(0), np.zeros(60_000)
    owner = np.arange(60_000) % 3
    orders = Chance.of(1, "order", np.arange(60_000))
    lines = fill(story, catalogue, shelf, people, owner, orders, nothing, nothing)
    told = wanted_shares(story, catalogue, people)
    assert told.sum(axis=0) == pytest.approx([1.0, 1.0, 1.0])
    assert np.abs(told - people.taste).max() > 0.1  # habit is not taste
    for member in range(3):
        category = catalogue.category[lines.product[owner[lines.order] == member]]
        seen = np.bincount(category, minlength=len(told)) / len(category)
        assert seen == pytest.approx(told[:, member], abs=0.013)  # four standard errors


def test_an_order_names_a_product_once_and_its_money_adds_up(shop: Path) -> None:
    lines = table(shop / "landing", "orders").to_pandas()
    assert not lines.duplicated(["order_no", "sku"]).any()
    sales = lines[~lines.is_return]
    paid = sales.groupby("order_no").amount.sum()
    payments = table(shop / "landing", "payments").to_pandas()
    approved = payments[payments.is_approved & payments.order_no.notna()].set_index("order_no").amount
    assert np.allclose(approved.loc[paid.index], paid)


def test_a_tills_clock_is_a_little_wrong_for_a_day(shop: Path) -> None:
    lines = table(shop / "landing", "orders").to_pandas()
    payments = table(shop / "landing", "payments").to_pandas()
    paid_at = payments[payments.is_approved & payments.order_no.notna()].set_index("order_no")["at"]
    sales = lines[~lines.is_return]
    seconds = (sales.sold_at - paid_at.reindex(sales.order_no).set_axis(sales.index)).dt.total_seconds()
    by_store = seconds.groupby([sales.store.astype(str), sales.exported_on])
    assert (by_store.max() - by_store.min()).max() < 1e-5
    assert by_store.first().std() == pytest.approx(10, rel=0.25)


def test_returns_take_back_what_was_sold(shop: Path) -> None:
    lines = table(shop / "landing", "orders").to_pandas()
    lines["order_no"] = made_of(lines.order_no, "order_no")
    back = lines[lines.is_return]
    sales = lines[~lines.is_return].set_index(["order_no", "sku"])
    theirs = sales.loc[list(zip(back.order_no - 1, back.sku, strict=True))]
    assert len(back) > 50
    assert np.array_equal(-back.units.to_numpy(), theirs.units.to_numpy())
    assert np.all(back.sold_at.to_numpy() > theirs.sold_at.to_numpy())


DELIVERY_DAYS, LATENESS_HARM = 3, 0.003  # as shipped


@pytest.fixture(scope="module")
def parcels(shop: Path) -> pd.DataFrame:
    """When the goods of each order were ``there`` and by how many days that was ``late``, by the order's number within
    the simulation. Lateness shows in the harm that it does, which grows by log2(1 + days)."""
    lines = table(shop / "landing", "orders").to_pandas()
    number = first_number(lines.order_no)
    orders = lines[~lines.is_return].assign(number=number[~lines.is_return]).drop_duplicates("number")
    harm = table(shop / "truth", "true_incidents").to_pandas().query("cause == 'late_delivery'")
    patience = table(shop / "truth", "true_members").to_pandas().set_index("member_id").patience
    days = 2 ** (harm.hazard.to_numpy() / LATENESS_HARM / patience.loc[harm.member_id].to_numpy()) - 1
    late = pd.Series(days.round(), pd.MultiIndex.from_frame(harm[["member_id", "happened_on"]]))
    of_orders = late.reindex(pd.MultiIndex.from_frame(orders[["member", "exported_on"]])).fillna(0.0).to_numpy()
    there = pd.to_datetime(orders.exported_on) + pd.to_timedelta(DELIVERY_DAYS + of_orders, unit="D")
    return pd.DataFrame({"there": there.to_numpy(), "late": of_orders}, orders.number)


def first_number(order_no: pd.Series) -> np.ndarray:
    """Of an order, its return, or the same order placed again, which comes in one parcel."""
    number = made_of(order_no, "order_no")
    return number - number % 4


def soonest(parcels: pd.DataFrame, order_no: pd.Series, day: pd.Series) -> int:
    """How many days the goods had been there at least, on days on which something was done about these orders."""
    theirs = parcels.loc[first_number(order_no)]
    assert (theirs.late > 3).sum() > 5
    return (pd.to_datetime(day).to_numpy() - theirs.there.to_numpy()).min() // np.timedelta64(1, "D")


def test_nothing_is_sent_back_rated_or_complained_about_before_it_is_there(shop: Path, parcels: pd.DataFrame) -> None:
    lines = table(shop / "landing", "orders").to_pandas()
    back = lines[lines.is_return]
    assert soonest(parcels, back.order_no, back.exported_on) == 2  # five days from the order, when it is on time
    events = table(shop / "landing", "events").to_pandas()
    reviews = events[events.event == "review"]
    assert soonest(parcels, reviews.order_no.astype("int64"), reviews.exported_on) == 4  # a week from the order
    messages = table(shop / "landing", "messages").to_pandas()
    complaints = messages[messages.intent.isin({"complaint_late", "complaint_quality"})]
    assert soonest(parcels, complaints.order_no.astype("int64"), local_day(complaints["at"])) == 1


def test_who_waits_asks_on_the_day_that_was_promised(shop: Path, parcels: pd.DataFrame) -> None:
    messages = table(shop / "landing", "messages").to_pandas()
    asked = messages[messages.intent == "where_is_my_order"]
    theirs = parcels.loc[first_number(asked.order_no.astype("int64"))]
    promised = pd.to_datetime(theirs.there) - pd.to_timedelta(theirs.late, unit="D")
    assert len(asked) > 50
    assert np.array_equal(local_day(asked["at"]).to_numpy(), promised.to_numpy())


def test_bad_goods_and_complaints_hurt_once_they_are_there(shop: Path, parcels: pd.DataFrame) -> None:
    lines = table(shop / "landing", "orders").to_pandas().query("not is_return")
    lines = lines.assign(number=first_number(lines.order_no)).drop_duplicates("number")
    told = table(shop / "truth", "true_incidents").to_pandas()
    # One order a member and day.
    hurt = told.merge(lines, left_on=["member_id", "happened_on"], right_on=["member", "exported_on"])
    there = parcels.there.loc[hurt.number].to_numpy()
    after = (pd.to_datetime(hurt.felt_on).to_numpy() - there) // np.timedelta64(1, "D")
    assert set(after[hurt.cause == "bad_quality"]) == {0}
    assert set(after[hurt.cause == "unanswered_complaint"]) == {5}  # the days that an answer may take


def test_leavers_do_not_order_again(shop: Path) -> None:
    leavers = table(shop / "truth", "true_leavers").to_pandas().set_index("member_id").left_on
    payments = table(shop / "truth", "true_payments").to_pandas().set_index("payment_id").kind
    orders = table(shop / "landing", "payments").to_pandas()
    orders["kind"] = payments.loc[orders.payment_id.astype(str)].to_numpy()
    own = orders[(orders.kind != "account_takeover") & orders.member.isin(leavers.index)]
    assert len(own) > 100
    assert np.all(own.exported_on.to_numpy() < leavers.loc[own.member].to_numpy())


def test_every_leaver_has_a_cause_and_would_have_been_less_likely_to_leave_without_it(shop: Path) -> None:
    leavers = table(shop / "truth", "true_leavers").to_pandas()
    through_incidents = leavers[leavers.cause != "faded"]
    assert len(through_incidents) > 20
    without = [row[f"chance_without_{row.cause}"] for _, row in through_incidents.iterrows()]
    assert np.all(np.array(without) < through_incidents.chance.to_numpy())


def test_the_incidents_told_add_up_to_the_chance_of_leaving_with_and_without_each_kind(shop: Path) -> None:
    leavers = table(shop / "truth", "true_leavers").to_pandas()
    leavers = leavers[leavers.cause != "faded"].set_index("member_id")
    told = table(shop / "truth", "true_incidents").to_pandas()
    told = told[told.member_id.isin(leavers.index)]
    days = (pd.to_datetime(leavers.left_on.loc[told.member_id].to_numpy()) - pd.to_datetime(told.felt_on)).dt.days
    told = told.assign(left=np.where(days >= 0, told.hazard * 0.5 ** (days / 5), 0.0))  # half-life: five days
    hazard = told.pivot_table(index="member_id", columns="cause", values="left", aggfunc="sum", fill_value=0.0)
    hazard = hazard.loc[leavers.index]
    assert set(hazard) == {"late_delivery", "stock_out", "price_rise", "bad_quality", *RARE}
    np.testing.assert_allclose(1 - np.exp(-hazard.sum(axis=1)), leavers.chance)
    for cause in hazard:
        without = 1 - np.exp(-hazard.drop(columns=cause).sum(axis=1))
        np.testing.assert_allclose(without, leavers[f"chance_without_{cause}"], atol=1e-12)
    assert set(leavers.cause) & set(RARE)


def test_the_hazard_told_of_a_day_is_what_is_felt_then_of_all_incidents(shop: Path) -> None:
    states = table(shop / "truth", "true_states").to_pandas()
    here = states[~states.has_left].set_index(["member_id", "as_of"]).leave_hazard
    told = table(shop / "truth", "true_incidents").to_pandas()
    for as_of, hazard in here.groupby("as_of"):
        is_felt = (told.felt_on < as_of) | ((told.felt_on == as_of) & (told.cause != "unwanted_campaign"))
        age = (pd.Timestamp(as_of) - pd.to_datetime(told.felt_on)).dt.days
        left = (told.hazard * 0.5 ** (age / 5)).where(is_felt, 0.0).groupby(told.member_id).sum()
        members = hazard.index.get_level_values("member_id")
        np.testing.assert_allclose(hazard, left.reindex(members).fillna(0.0), atol=1e-12)
    assert (here > 0).sum() > 20


def test_incidents_are_told_of_who_is_still_here(shop: Path) -> None:
    left_on = table(shop / "truth", "true_leavers").to_pandas().set_index("member_id").left_on
    told = table(shop / "truth", "true_incidents").to_pandas()
    told = told[told.member_id.isin(left_on.index)]
    assert len(told) > 50
    assert np.all(told.happened_on.to_numpy() <= left_on.loc[told.member_id].to_numpy())


def test_an_unwanted_campaign_is_told_of_the_disturbed_whom_it_addressed(shop: Path) -> None:
    told = table(shop / "truth", "true_incidents").to_pandas()
    effects = table(shop / "truth", "true_effects").to_pandas()
    disturbed = effects[effects.is_treated & (effects.response == "do_not_disturb")]
    left_on = table(shop / "truth", "true_leavers").to_pandas().set_index("member_id").left_on
    gone = left_on[pd.to_datetime(left_on) < "2025-01-29"].index
    unwanted = told[(told.cause == "unwanted_campaign") & (told.happened_on.astype(str) == "2025-01-29")]
    assert set(unwanted.member_id) == set(disturbed.member_id) - set(gone)
    assert len(unwanted) > 20


def test_a_campaign_does_nothing_to_lost_causes_and_more_to_the_persuadable(shop: Path) -> None:
    effects = table(shop / "truth", "true_effects").to_pandas()
    effects["effect"] = effects.spend_with_minor - effects.spend_without_minor
    mean = effects.groupby("response").effect.mean()
    assert (effects[effects.response == "lost_cause"].effect == 0).all()
    assert mean["persuadable"] > 0 > mean["do_not_disturb"]
    assert mean["sure_thing"] <= 0  # they use the coupon and order no more


def test_the_world_that_came_true_is_the_landed_one(shop: Path) -> None:
    effects = table(shop / "truth", "true_effects").to_pandas()
    first = effects[effects.campaign_id == "C0000"].set_index("member_id")
    told = np.where(first.is_treated, first.spend_with_minor, first.spend_without_minor)
    lines = table(shop / "landing", "orders").to_pandas()
    day = (lines.exported_on.astype("datetime64[s]") - np.datetime64("2025-01-01")).dt.days
    orders = table(shop / "landing", "payments").to_pandas()
    thefts = table(shop / "truth", "true_payments").filter(pc.field("kind") == "account_takeover")
    stolen = set(orders[orders.payment_id.astype(str).isin(thefts["payment_id"].to_pylist())].order_no)
    own = lines[~lines.is_return & (day >= 28) & (day < 56) & ~lines.order_no.isin(stolen)]
    assert (
        made_of(own[own.member.isin(first.index)].order_no, "order_no") % 4 == 2
    ).any()  # lines of an order placed again
    landed = (own.groupby("member").amount.sum() * 100).round().reindex(first.index).fillna(0.0)
    assert np.allclose(landed, told)


def test_outcomes_are_told_of_who_placed_no_order_in_the_horizon(tmp_path: Path) -> None:
    simulate(small_shop(tmp_path, "members=200", "days=60", "feeds=[orders]", "fraud.takeover_a_day=0.01"))
    outcomes = table(tmp_path / "truth", "true_outcomes").to_pandas()
    assert set(outcomes.as_of.astype(str)) == {"2025-01-29"}  # day 28; the horizon of day 42 ends after day 60
    lines = table(tmp_path / "landing", "orders").to_pandas()
    exported = lines[~lines.is_return].exported_on.astype(str)
    ordered = lines.loc[exported[(exported >= "2025-01-29") & (exported < "2025-02-26")].index].member
    assert set(outcomes[~outcomes.no_order].member_id) == set(ordered) & set(outcomes.member_id)
    assert 20 < outcomes.no_order.sum() < len(outcomes) - 20


def test_an_order_placed_twice_is_paid_twice_in_every_account(tmp_path: Path) -> None:
    def first_day(again_share: float) -> State:
        story = small_shop(tmp_path, f"baskets.again_share={again_share}")
        world = World(story)
        life = Life(world, members(story, world.catalogue, np.arange(200)))
        state = life.fresh()
        life.live(state, 0)
        return state

    never, always = first_day(0.0), first_day(1.0)
    assert never.measured_spend.sum() > 0
    assert always.measured_spend == pytest.approx(2 * never.measured_spend)
    assert always.spend[0] == pytest.approx(2 * never.spend[0])
    assert np.array_equal(always.orders, never.orders)  # one occasion to order, for stages and rests


@pytest.fixture(scope="module")
def two_campaigns(tmp_path_factory: pytest.TempPathFactory) -> tuple[Outcome, pd.DataFrame]:
    """A randomised one, measured from day 28 to 56, and a targeted one, from day 56 to 84."""
    folder = tmp_path_factory.mktemp("campaigns")
    quick = ("feeds=[touches]", "truth.first_as_of=1000")
    outcome = simulate(small_shop(folder, "members=3000", "days=84", *quick))
    effects = table(folder / "truth", "true_effects").to_pandas()
    spend = effects.spend_with_minor.where(effects.is_treated, effects.spend_without_minor)
    effect = effects.spend_with_minor - effects.spend_without_minor
    return outcome, effects.assign(spend=spend / 100, effect=effect / 100)


def test_targeted_campaigns_pick_spenders_and_randomised_ones_do_not(
    two_campaigns: tuple[Outcome, pd.DataFrame],
) -> None:
    _, effects = two_campaigns
    randomised, targeted = (effects[effects.campaign_id == number] for number in ("C0000", "C0001"))
    assert set(randomised.propensity) == {0.5}
    assert randomised.is_treated.mean() == pytest.approx(0.5, abs=0.04)
    assert set(targeted.propensity) == {0.85, 0.08}
    addressed = targeted.groupby("propensity").is_treated.mean()
    assert addressed.to_dict() == pytest.approx({0.85: 0.85, 0.08: 0.08}, abs=0.04)
    spend = targeted.groupby("propensity").spend_without_minor.mean()
    assert spend[0.85] > 3 * spend[0.08]


def test_controls_of_randomised_campaigns_land_beside_touches_and_are_none(tmp_path: Path) -> None:
    simulate(small_shop(tmp_path, "members=200", "days=60", "feeds=[campaigns, touches, controls]"))
    controls = table(tmp_path / "landing", "controls").to_pandas()
    touches = table(tmp_path / "landing", "touches").to_pandas()
    assert set(touches.kind) == {"targeted", "redeemed"}
    assert set(controls.campaign) == {"C0000"}  # C0001 is targeted: whom it does not address is no control
    effects = table(tmp_path / "truth", "true_effects").to_pandas()
    first = effects[effects.campaign_id == "C0000"]
    assert set(controls.member) == set(first[~first.is_treated].member_id)
    addressed = touches[(touches.campaign == "C0000") & (touches.kind == "targeted")]
    assert set(addressed.member) == set(first[first.is_treated].member_id)
    assert table(tmp_path / "landing", "campaigns")["contact_cost"].to_pylist() == [0.05, 0.05]


def test_comparing_the_addressed_with_the_others_is_right_of_randomised_campaigns_alone(
    two_campaigns: tuple[Outcome, pd.DataFrame],
) -> None:
    outcome, effects = two_campaigns
    wrong_by = {}  # in standard errors of the comparison
    for number, told in effects.groupby("campaign_id"):
        addressed, others = told.spend[told.is_treated], told.spend[~told.is_treated]
        naive, true = addressed.mean() - others.mean(), told.effect.mean()
        error = np.sqrt(addressed.var() / len(addressed) + others.var() / len(others))
        wrong_by[number] = (naive - true) / error
        comparison = outcome.comparisons[int(number[1:])]
        assert (comparison.naive, comparison.true) == pytest.approx((naive, true), abs=0.01)
    assert abs(wrong_by["C0000"]) < 3
    assert wrong_by["C0001"] > 10


def test_sessions_with_an_order_end_in_its_lines(shop: Path) -> None:
    events = table(shop / "landing", "events").to_pandas()
    bought = events[events.event == "buy"]
    lines = table(shop / "landing", "orders").to_pandas()
    sold = lines[~lines.is_return]
    assert sorted(zip(bought.order_no, bought.sku, strict=True)) == sorted(zip(sold.order_no, sold.sku, strict=True))
    clicked = set(zip(events[events.event == "click"].session_id, events[events.event == "click"].sku, strict=True))
    assert all((order, sku) in clicked for order, sku in zip(sold.order_no, sold.sku, strict=True))
    assert events.stars.dropna().between(1, 5).all()


def test_chargebacks_come_later_and_are_about_fraud(tmp_path: Path) -> None:
    more = ("fraud.takeover_a_day=0.002", "fraud.testers=0.02", "fraud.abusers=0.05")
    simulate(small_shop(tmp_path, "members=800", *more))
    kinds = table(tmp_path / "truth", "true_payments").to_pandas().set_index("payment_id").kind
    payments = table(tmp_path / "landing", "payments").to_pandas().set_index("payment_id")
    disputed = table(tmp_path / "landing", "chargebacks").to_pandas()
    of_disputed = kinds.loc[disputed.payment_id.astype(str)]
    assert set(of_disputed) <= {"account_takeover", "card_testing", "refund_abuse"}
    assert len(disputed) > 20
    assert np.all(disputed.reported_on.to_numpy() > payments.loc[disputed.payment_id].exported_on.to_numpy())
    assert payments.loc[disputed.payment_id].is_approved.all()


def test_unanswered_messages_are_complaints(shop: Path) -> None:
    messages = table(shop / "landing", "messages").to_pandas()
    unanswered = messages[messages.answered_at.isna()]
    assert set(unanswered.outcome) == {"unanswered"}
    assert set(unanswered.intent) == {"complaint_late", "complaint_quality"}
    assert messages.text.str.len().min() > 10


def test_a_message_lands_on_the_day_on_which_it_is_closed(shop: Path) -> None:
    messages = table(shop / "landing", "messages").to_pandas()
    exported_on, unanswered = pd.to_datetime(messages.exported_on), messages[messages.answered_at.isna()]
    assert len(unanswered)
    assert (exported_on[unanswered.index] == local_day(unanswered["at"]) + pd.Timedelta(days=7)).all()
    answered = messages.drop(unanswered.index)
    assert (exported_on[answered.index] == local_day(answered.answered_at)).all()
    assert (local_day(answered.answered_at) > local_day(answered["at"])).any()


def local_day(moments: pd.Series) -> pd.Series:
    return moments.dt.tz_convert("Europe/Berlin").dt.normalize().dt.tz_localize(None)


def test_the_story_is_plausible(shop: Path) -> None:
    lines = table(shop / "landing", "orders").to_pandas()
    orders = lines[~lines.is_return].groupby("member").order_no.nunique()
    assert (orders > 1).mean() > 0.6  # repeat buyers
    spend = np.sort(lines[~lines.is_return].groupby("member").amount.sum().to_numpy())
    gini = 1 - 2 * np.sum(np.cumsum(spend)) / (len(spend) * spend.sum()) + 1 / len(spend)
    assert 0.4 < gini < 0.8
    assert 0.01 < lines.is_return.mean() < 0.1
    share = np.sort(lines.groupby("sku").size().to_numpy())[::-1]
    assert share[: len(share) // 10].sum() / share.sum() > 0.3  # a heavy tail of products
