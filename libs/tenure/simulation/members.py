"""Who the members are: what was settled about each before the first order (N members a block, one array a trait)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from tenure.simulation.aligned import Aligned
from tenure.simulation.catalogue import Catalogue, favourites
from tenure.simulation.chance import Chance, Flags, Floats, Ints, Places
from tenure.simulation.settings import PURPOSES, RESPONSES, Story

PERSUADABLE, SURE_THING, LOST_CAUSE, DO_NOT_DISTURB = range(len(RESPONSES))
_INVITERS_ASKED = 4
NOBODY = -1


@dataclass(frozen=True)
class Members(Aligned):
    """N members. Arrays of more than one dimension have the members last."""

    number: Ints
    chance: Chance
    joined: Ints  # day; before 0 where an earlier system brought them
    channel: Ints
    inviter: Ints  # number of a member, or NOBODY
    rate: Floats  # orders a day on an ordinary day
    drop_out: Floats  # chance of leaving after an order
    patience: Floats  # multiplies what incidents do
    taste: Floats  # (C, N) shares
    taste_below: Floats  # (C, N) the same, cumulated
    latent: Floats  # (D, N)
    favourites: Ints  # (F, N) products
    mean_lines: Floats
    response: Ints
    region: Ints
    home_store: Ints
    device: Ints
    is_late_riser: Flags
    is_tester: Flags
    is_abuser: Flags
    first_consent: Flags  # (purposes, N)

    def __len__(self) -> int:
        return len(self.number)


def member_id(number: int) -> str:
    """The shop's own id: ten digits, the last two of them the rest of the first eight by 97, so a slip shows."""
    return f"M{number:08d}{number % 97:02d}"


def joined_on(story: Story, number: Places) -> Ints:
    """The day (N,) on which members register: a function of the seed and the number alone."""
    acquisition, chance = story.acquisition, Chance.of(story.seed, "member", number)
    before = -1 - chance.exponential(acquisition.mean_days_before, "tenure").astype(np.int64)
    after = (chance.uniform("joined") * acquisition.within_days).astype(np.int64)
    return np.where(chance.happens(acquisition.carried_over, "carried over"), before, after)


def members(story: Story, catalogue: Catalogue, number: Ints) -> Members:
    """The members with these numbers (N,)."""
    chance = Chance.of(story.seed, "member", number)
    channels = tuple(story.acquisition.channels.values())
    channel = chance.one_of(np.array([c.share for c in channels]), "channel")
    joined = joined_on(story, number)
    taste = _tastes(story, catalogue, chance)
    below = np.cumsum(taste, axis=0)
    spread = story.incidents.patience_sd
    mean = story.baskets.mean_lines - 1.0
    testers = story.fraud.testers
    return Members(
        number=number,
        chance=chance,
        joined=joined,
        channel=channel,
        inviter=_inviters(story, number, joined, channel),
        rate=_rates(story, chance) * np.array([c.rate for c in channels])[channel],
        drop_out=np.minimum(0.9, _drop_outs(story, chance) * np.array([c.drop_out for c in channels])[channel]),
        patience=np.exp(spread * chance.normal("patience") - spread * spread / 2),
        taste=taste,
        taste_below=below,
        latent=np.stack([chance.normal("latent", d) for d in range(story.tastes.dimensions)]),
        favourites=np.stack([favourites(story, catalogue, chance, below, f) for f in range(story.tastes.favourites)]),
        mean_lines=mean * chance.gamma(story.baskets.lines_shape, "lines") / story.baskets.lines_shape,
        response=chance.one_of(np.array([story.campaigns.responses[r] for r in RESPONSES]), "response"),
        region=chance.one_of(_values(story.sessions.regions), "region"),
        home_store=chance.one_of(_values(story.sessions.stores), "store"),
        device=chance.one_of(_values(story.sessions.devices), "device"),
        is_late_riser=chance.happens(story.sessions.late_riser_share, "late riser"),
        is_tester=chance.happens(testers, "tester") & (joined >= 0),
        is_abuser=chance.happens(story.fraud.abusers, "abuser"),
        first_consent=np.stack([chance.happens(story.consent.given[p], f"consent to {p}") for p in PURPOSES]),
    )


def _values(shares: dict[str, float]) -> Floats:
    return np.array(list(shares.values()))


def _rates(story: Story, chance: Chance) -> Floats:
    shape = story.purchasing.rate_shape
    return chance.gamma(shape, "rate") / shape / story.purchasing.mean_gap_days


def _drop_outs(story: Story, chance: Chance) -> Floats:
    return chance.beta(story.purchasing.drop_out_a, story.purchasing.drop_out_b, "drop-out")


def _tastes(story: Story, catalogue: Catalogue, chance: Chance) -> Floats:
    """Shares (C, N): the catalogue's own, tilted by each member's utilities."""
    log_shares = np.log(catalogue.shares)
    weights = np.stack(
        [
            np.exp(log_shares[c] + story.tastes.category_sd * chance.normal("category", c))
            for c in range(len(log_shares))
        ]
    )
    total = weights[0].copy()
    for weight in weights[1:]:  # in this order for every N, so that sums are the same to the last bit
        total += weight
    return weights / total


def _inviters(story: Story, number: Ints, joined: Ints, channel: Ints) -> Ints:
    """A member with a smaller number who was there before, asked for by number, for those who came by invitation."""
    inviter = np.full(len(number), NOBODY, dtype=np.int64)
    invited = np.flatnonzero(channel == list(story.acquisition.channels).index("invitation"))
    chance = Chance.of(story.seed, "invitation", number[invited])
    for attempt in range(_INVITERS_ASKED):
        asked = (chance.uniform("inviter", attempt) * number[invited]).astype(np.int64)
        is_there = (joined_on(story, asked) < joined[invited]) & (inviter[invited] == NOBODY) & (number[invited] > 0)
        inviter[invited[is_there]] = asked[is_there]
    return inviter
