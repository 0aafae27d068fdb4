"""What changes slowly: members, products, campaigns and whom they addressed, consents."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pyarrow as pa

from tenure.simulation.block import Block
from tenure.simulation.chance import Chance, Ints
from tenure.simulation.landing import Columns, Words, days, moments, same
from tenure.simulation.life import Day, World
from tenure.simulation.settings import PURPOSES


def campaign_id(number: int) -> str:
    return f"C{number:04d}"


def joiners(block: Block, day: int) -> Ints:
    """Places of who registers on a day; on the first one also of who was there before."""
    joined = block.members.joined
    return np.flatnonzero((joined <= 0) if day == 0 else (joined == day))


def member_rows(block: Block, places: Ints, day: int) -> Columns:
    chance = block.members.chance.take(places)
    start = block.world.calendar.epoch_days(0)
    return {
        "member": block.ids(places),
        "registered_on": days(start + block.members.joined[places]),
        "age": _answers(block, chance, "age", block.story.acquisition.ages),
        "household": _answers(block, chance, "household", block.story.acquisition.households),
        "region": Words([*block.story.sessions.regions]).at(block.members.region[places]),
        "channel": Words([*block.story.acquisition.channels]).at(block.members.channel[places]),
        "invited_by": block.inviter_ids(places),
        "exported_on": block.exported_on(day, len(places)),
    }


def _answers(block: Block, chance: Chance, question: str, shares: dict[str, float]) -> pa.Array:
    """What members say when they register; null where they leave the question open."""
    answer = chance.one_of(np.array([*shares.values()]), question)
    is_untold = chance.happens(block.story.acquisition.untold_share, f"{question} untold")
    return Words([*shares]).at(np.where(is_untold, -1, answer))


def consent_rows(block: Block, new: Ints, day: Day, given: np.ndarray) -> Columns:
    """What new members agree to, and who changed their mind."""
    asked = [(purpose, new, block.members.first_consent[purpose, new]) for purpose in range(len(PURPOSES))]
    for purpose in range(len(PURPOSES)):
        changed = np.flatnonzero(day.consent_changes[purpose])
        asked.append((purpose, changed, given[purpose, changed]))
    member = np.concatenate([members for _, members, _ in asked])
    purposes = np.repeat([purpose for purpose, _, _ in asked], [len(members) for _, members, _ in asked])
    chance = block.members.chance.take(member).split("consent", day.day)
    return {
        "member": block.ids(member),
        "purpose": Words([*PURPOSES]).at(purposes),
        "at": moments(block.moment(member, chance, day.day)),
        "is_given": pa.array(np.concatenate([is_given for _, _, is_given in asked])),
        "exported_on": block.exported_on(day.day, len(member)),
    }


def touch_rows(block: Block, day: Day) -> Columns:
    """Who a campaign that starts today addresses, and who redeems a coupon."""
    targeted = np.zeros(0, dtype=np.int64)
    if day.campaign is not None:
        targeted = day.campaign.member[day.campaign.is_treated]
    redeemed = day.orders.member[day.orders.has_coupon]
    running = block.world.campaigns.running(day.day)
    member = np.concatenate([targeted, redeemed])
    kind = np.repeat([0, 1], [len(targeted), len(redeemed)])
    return {
        "member": block.ids(member),
        "campaign": same(None if running is None else campaign_id(running), len(member), pa.string()),
        "kind": Words(["targeted", "redeemed"]).at(kind),
        "on": days(np.full(len(member), block.world.calendar.epoch_days(day.day))),
        "exported_on": block.exported_on(day.day, len(member)),
    }


def control_rows(block: Block, day: Day) -> Columns:
    """Whom a randomised campaign that starts today leaves out on purpose: the shop knows them, nothing reaches them."""
    held_out = np.zeros(0, dtype=np.int64)
    campaign = day.campaign
    if campaign is not None and block.world.campaigns.is_randomised(campaign.number):
        held_out = campaign.member[~campaign.is_treated]
    name = None if campaign is None else campaign_id(campaign.number)
    return {
        "member": block.ids(held_out),
        "campaign": same(name, len(held_out), pa.string()),
        "on": block.exported_on(day.day, len(held_out)),
        "exported_on": block.exported_on(day.day, len(held_out)),
    }


def product_rows(world: World, day: int) -> Columns:
    """What is new in the catalogue on a day; all of it on the first."""
    catalogue = world.catalogue
    new = np.flatnonzero(catalogue.launched == day)
    at = pa.array(new)
    return {
        "sku": pa.array(catalogue.product_ids()).take(at),
        "title": pa.array(catalogue.titles(new), pa.string()),
        "category": Words([*catalogue.categories]).at(catalogue.category[new]),
        "type": pa.array(catalogue.types()).take(at),
        "brand": pa.array(catalogue.brand_names()).take(pa.array(catalogue.brand[new])),
        "price": pa.array(catalogue.shelf(day).prices[new]),
        "exported_on": days(np.full(len(new), world.calendar.epoch_days(day))),
    }


def campaign_rows(world: World, day: int) -> Columns:
    """The campaign that starts on a day, if one does."""
    number = world.campaigns.starting(day)
    numbers = [] if number is None else [number]
    starts = np.array([world.calendar.epoch_days(day) for _ in numbers], dtype=np.int64)
    return {
        "campaign": pa.array([campaign_id(n) for n in numbers], pa.string()),
        "kind": pa.array([_kind(world, n) for n in numbers], pa.string()),
        "starts_on": days(starts),
        "ends_on": days(starts + world.story.campaigns.days - 1),
        "coupon": pa.array([world.campaigns.coupon(n) for n in numbers], pa.float64()),
        "contact_cost": pa.array([world.story.campaigns.contact_cost for _ in numbers], pa.float64()),
        "exported_on": days(starts),
    }


def _kind(world: World, number: int) -> str:
    return "randomised" if world.campaigns.is_randomised(number) else "spenders"


def shared_rows(world: World, day: int) -> Iterator[tuple[str, Columns]]:
    """What no member owns; one partition alone writes it."""
    yield "products", product_rows(world, day)
    yield "campaigns", campaign_rows(world, day)
