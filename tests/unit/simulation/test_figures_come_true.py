"""Whether the figures in the settings come true in what is drawn from them."""

from __future__ import annotations

from datetime import date
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from tests.unit.simulation.small_shop import small_shop, table

from tenure.simulation import incidents
from tenure.simulation.block import Block
from tenure.simulation.calendar import DAY_US, Calendar
from tenure.simulation.catalogue import Catalogue
from tenure.simulation.chance import Chance, Floats
from tenure.simulation.life import Life, World
from tenure.simulation.members import Members, members
from tenure.simulation.purchasing import order_chance
from tenure.simulation.settings import SimulateShop
from tenure.simulation.simulate import simulate
from tenure.simulation.state import FADED, NEVER, Felt, State

EVEN = ("seasons.season_amplitude=0", "seasons.weekdays=[1,1,1,1,1,1,1]", "seasons.sale_lift=1", "seasons.peaks=[]")


def calendar(*overrides: str) -> Calendar:
    return Calendar(small_shop(Path("unused"), *EVEN, *overrides))


def on(busy: Calendar, day: str) -> float:
    return busy.intensity((date.fromisoformat(day) - busy.start).days)


def some_members(n: int, *overrides: str) -> tuple[SimulateShop, Members]:
    story = small_shop(Path("unused"), *overrides)
    return story, members(story, Catalogue(story, Calendar(story)), np.arange(n))


def a_life(n: int, *overrides: str) -> tuple[Life, State]:
    story = small_shop(Path("unused"), *overrides)
    world = World(story)
    life = Life(world, members(story, world.catalogue, np.arange(n)))
    return life, life.fresh()


def test_an_even_calendar_has_no_busy_days() -> None:
    even = calendar()
    assert {even.intensity(day) for day in range(365)} == {1.0}


def test_seasons_are_one_sine_a_year() -> None:
    seasonal = calendar("seasons.season_amplitude=0.1")
    assert on(seasonal, "2025-12-01") == pytest.approx(1.1)
    assert on(seasonal, "2025-06-01") == pytest.approx(0.9, abs=1e-4)
    assert on(seasonal, "2025-09-01") == pytest.approx(1.0, abs=2e-3)


def test_weekdays_begin_with_monday() -> None:
    weekly = calendar("seasons.weekdays=[0.7,1,1,1,1,1,1.3]")
    assert [on(weekly, f"2025-02-{day:02d}") for day in (2, 3, 4)] == [1.3, 0.7, 1.0]  # from a Sunday


def test_peaks_multiply_the_days_from_their_first() -> None:
    peaked = calendar("seasons.peaks=[{first: 11-24, days: 2, lift: 1.9}]")
    assert [on(peaked, f"2025-11-{day}") for day in (23, 24, 25, 26)] == [1.0, 1.9, 1.9, 1.0]


def test_the_shops_own_sale_is_once_a_period_and_in_one_piece() -> None:
    own = calendar("seasons.sale_lift=1.35")
    for period in range(12):
        days = [day for day in range(28 * period, 28 * period + 28) if own.is_sale(day)]
        assert days == [*range(days[0], days[0] + 3)]
        assert {own.intensity(day) for day in days} == {1.35}


def test_times_of_day_follow_the_hours_and_late_risers_come_an_hour_later() -> None:
    life, _ = a_life(1000)
    block, many = Block(life.world, life.members), np.arange(100_000)
    places = many % 1000
    moments = block.moment(places, Chance.of(1, "moment", many), 0)
    hour = (moments - life.world.calendar.midnight_us(0)) * 24 // DAY_US
    shares = life.world.calendar.hours / life.world.calendar.hours.sum()
    is_late = life.members.is_late_riser[places]
    early, late = (np.bincount(hour[who], minlength=24) / who.sum() for who in (~is_late, is_late))
    assert early == pytest.approx(shares, abs=0.006)
    assert late[1:23] == pytest.approx(shares[:22], abs=0.006)
    assert late[23] == pytest.approx(shares[22:].sum(), abs=0.006)


def test_channels_have_their_shares_and_multiply_rates_and_drop_outs() -> None:
    story, people = some_members(20_000)
    same = {"rate": 1.0, "drop_out": 1.0}
    alike = [f"acquisition.channels.{name}.{k}={v}" for name in story.acquisition.channels for k, v in same.items()]
    _, others = some_members(20_000, *alike)
    for place, channel in enumerate(story.acquisition.channels.values()):
        mine = people.channel == place
        assert mine.mean() == pytest.approx(channel.share, abs=0.015)
        assert people.rate[mine] == pytest.approx(others.rate[mine] * channel.rate)
        assert people.drop_out[mine] == pytest.approx(np.minimum(0.9, others.drop_out[mine] * channel.drop_out))


def test_rates_are_gamma_and_drop_outs_beta() -> None:
    channels = "acquisition.channels={invitation: {share: 1, rate: 1, drop_out: 1}}"
    story, people = some_members(40_000, channels)
    assert people.rate.mean() == pytest.approx(1 / story.purchasing.mean_gap_days, rel=0.04)
    assert people.rate.var() / people.rate.mean() ** 2 == pytest.approx(1 / story.purchasing.rate_shape, rel=0.1)
    a, b = story.purchasing.drop_out_a, story.purchasing.drop_out_b
    assert people.drop_out.mean() == pytest.approx(a / (a + b), rel=0.04)


QUIET = (
    *EVEN,
    "purchasing.rest=0",
    "purchasing.newcomer_lift=0",
    "campaigns.first_day=1000",
    "acquisition.carried_over=1",
)
UNHURT = tuple(f"incidents.effects.{cause}=0" for cause in ("late_delivery", "stock_out", "price_rise", "bad_quality"))


def chance_of(life: Life, state: State, day: int, intensity: float = 1.0) -> Floats:
    return order_chance(life.story, life.members, state, day, intensity, 1.0)


def test_a_busy_day_multiplies_everyones_rate() -> None:
    life, state = a_life(200, *QUIET)
    who = ~life.members.is_tester
    assert chance_of(life, state, 5)[who] == pytest.approx(1 - np.exp(-life.members.rate[who]))
    assert chance_of(life, state, 5, 1.9)[who] == pytest.approx(1 - np.exp(-1.9 * life.members.rate[who]))


def test_after_an_order_a_member_rests_and_newcomers_order_sooner() -> None:
    life, state = a_life(200, *EVEN, "purchasing.rest=0.3", "purchasing.newcomer_lift=2", "fraud.testers=0")
    life.members.joined[:] = 10
    fresh = -np.log1p(-chance_of(life, state, 10)) / life.members.rate
    assert fresh == pytest.approx(np.full(200, 3.0))  # nobody rests, everybody is new
    state.first_order[:] = state.last_order[:] = 10
    assert -np.log1p(-chance_of(life, state, 10)) / life.members.rate == pytest.approx(np.full(200, 0.7))
    rested = -np.log1p(-chance_of(life, state, 11)) / life.members.rate
    by_hand = 1 - 0.3 * np.exp(-life.members.rate / life.story.purchasing.rest_gaps)
    assert rested == pytest.approx(by_hand)


def test_members_order_at_their_rate_and_leave_by_their_drop_out() -> None:
    unanswered = ("incidents.effects.unanswered_complaint=0", "purchasing.drop_out_b=6")
    life, state = a_life(3000, *QUIET, *UNHURT, *unanswered)
    expected = spread = orders = faded = due = due_spread = 0.0
    for day in range(25):
        here = state.left_on == NEVER
        chance = np.where(here, chance_of(life, state, day), 0.0)
        expected, spread = expected + chance.sum(), spread + (chance * (1 - chance)).sum()
        lived = life.live(state, day)
        drop_out = life.members.drop_out[lived.orders.member]
        due, due_spread = due + drop_out.sum(), due_spread + (drop_out * (1 - drop_out)).sum()
        orders, faded = orders + len(drop_out), faded + (lived.leavers.cause == FADED).sum()
        assert set(lived.leavers.cause) <= {FADED}
    assert orders == pytest.approx(expected, abs=4 * np.sqrt(spread))
    assert faded == pytest.approx(due, abs=4 * np.sqrt(due_spread))
    assert faded > 100


def test_an_incident_raises_the_hazard_for_a_while() -> None:
    life, state = a_life(2, "incidents.price_rise_share=0", "incidents.half_life_days=5")
    state.will_feel(3, Felt(np.array([1]), incidents.LATE, np.array([0.08])))
    seen = []
    for day in range(14):
        incidents.feel(life.story, life.world.catalogue, life.members, state, day)
        seen.append(incidents.leaving(state))
    chance = np.array(seen)
    assert (chance[:, 0] == 0).all()
    assert (chance[:3, 1] == 0).all()
    assert chance[[3, 8, 13], 1] == pytest.approx(1 - np.exp([-0.08, -0.04, -0.02]))


def test_the_hurt_leave_as_often_as_their_hazard_says() -> None:
    effects = ("incidents.effects.late_delivery=0.05", "incidents.effects.bad_quality=0.05")
    life, state = a_life(3000, *EVEN, *effects)
    expected = left = spread = 0.0
    for day in range(30):
        here = state.left_on == NEVER
        before = state.copy()
        life.settle(before, day)
        chance = np.where(here, life.chances(before, day)[0], 0.0)
        lived = life.live(state, day)
        if life.world.campaigns.starting(day) is None:  # what a campaign adds comes after the day's settling
            expected, spread = expected + chance.sum(), spread + (chance * (1 - chance)).sum()
            left += (lived.leavers.cause != FADED).sum()
    assert left == pytest.approx(expected, abs=4 * np.sqrt(spread))
    assert left > 100


def test_new_items_come_later_and_are_wanted_most_at_first() -> None:
    story = small_shop(Path("unused"), "catalogue.novelty_lift=2", "catalogue.novelty_days=14")
    catalogue = Catalogue(story, Calendar(story))
    is_new = catalogue.launched > 0
    assert is_new.mean() == pytest.approx(story.catalogue.new_share, abs=0.08)
    first = int(np.flatnonzero(is_new)[0])
    same = np.flatnonzero((catalogue.category == catalogue.category[first]) & ~is_new)
    launched = int(catalogue.launched[first])

    def share(day: int, product: int) -> float:
        below = catalogue.shelf(day).below
        start = (
            catalogue.category[product]
            if product == catalogue.first[catalogue.category[product]]
            else below[product - 1]
        )
        return float(below[product] - start)

    old = int(same[0])
    assert share(launched - 1, first) == pytest.approx(0.0, abs=1e-9)
    at_once, later = (share(day, first) / share(day, old) for day in (launched, launched + 1000))
    assert at_once / later == pytest.approx(3.0, rel=1e-3)


def test_nothing_is_sold_before_it_is_in_the_catalogue(tmp_path: Path) -> None:
    simulate(small_shop(tmp_path, "members=300", "days=30", "feeds=[orders, products]", "catalogue.new_share=0.5"))
    since = table(tmp_path / "landing", "products").to_pandas().set_index("sku").exported_on
    lines = table(tmp_path / "landing", "orders").to_pandas()
    launched = since.loc[lines.sku].to_numpy()
    assert (launched <= lines.exported_on.to_numpy()).all()
    assert (pd.to_datetime(launched) > "2025-01-01").sum() > 20


def test_fraud_is_between_a_fifth_and_one_per_cent_of_the_payments_as_shipped(tmp_path: Path) -> None:
    simulate(small_shop(tmp_path, "members=6000", "days=40", "feeds=[payments]", "truth.first_as_of=1000"))
    kinds = table(tmp_path / "truth", "true_payments").to_pandas().kind.astype(str)
    assert len(kinds) > 15_000
    assert 0.002 < (kinds != "honest").mean() < 0.01
    assert set(kinds) == {"honest", "account_takeover", "card_testing", "refund_abuse"}
