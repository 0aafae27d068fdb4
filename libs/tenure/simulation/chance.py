"""Numbers by counter instead of by order: the same question has the same answer, whoever asks and whenever.

SplitMix64's finaliser (Steele, Lea, Flood 2014: Fast splittable pseudorandom number generators) applied to keys and
counters, as counter-based generators do (Salmon, Moraes, Dror, Shaw 2011: Parallel random numbers, as easy as 1, 2, 3).
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

Keys: TypeAlias = NDArray[np.uint64]
Floats: TypeAlias = NDArray[np.float64]
Ints: TypeAlias = NDArray[np.int64]
Flags: TypeAlias = NDArray[np.bool_]
Places: TypeAlias = NDArray[np.integer[Any]]

_GOLDEN = 0x9E3779B97F4A7C15
_FIRST, _SECOND = 0xBF58476D1CE4E5B9, 0x94D049BB133111EB
_WORD = (1 << 64) - 1
_ATTEMPTS = 8  # of the rejection sampler below; all fail once in more than 1e10 draws


@dataclass(frozen=True)
class Chance:
    """Independent numbers for N things, one key each. ``purpose`` and ``step`` say which of a thing's numbers is meant.

    Every draw returns N values; ``step`` is one counter for all or one for each.
    """

    keys: Keys  # (N,)

    @classmethod
    def of(cls, seed: int, kind: str, ids: Places) -> Chance:
        """The chance of things with these ids (N,), such as members or products."""
        return cls(_mixed(_spread(ids) + np.uint64(_word(seed, kind))))

    def take(self, places: Places | Flags | slice) -> Chance:
        return Chance(self.keys[places])

    def split(self, purpose: str, step: int | Places = 0) -> Chance:
        """A chance of their own for parts of these things, such as the lines of an order."""
        return Chance(self.bits(purpose, step))

    def bits(self, purpose: str, step: int | Places = 0) -> Keys:
        """Sixty-four fair bits each (N,)."""
        word = _word(0, purpose)
        if isinstance(step, int):
            return _mixed(self.keys + np.uint64(_mixed_one((word + step * _GOLDEN) & _WORD)))
        return _mixed(self.keys + _mixed(_spread(step) + np.uint64(word)))

    def uniform(self, purpose: str, step: int | Places = 0) -> Floats:
        """In the open interval (0, 1), (N,)."""
        bits = self.bits(purpose, step)
        bits >>= np.uint64(11)
        values = bits.astype(np.float64)
        values += 0.5
        values *= 2.0**-53
        return values

    def happens(self, probability: float | Floats, purpose: str, step: int | Places = 0) -> Flags:
        return self.uniform(purpose, step) < probability

    def normal(self, purpose: str, step: int = 0) -> Floats:
        """Standard normal (N,), by Box and Muller (1958)."""
        radius = np.sqrt(-2.0 * np.log(self.uniform(purpose, 2 * step)))
        return radius * np.cos(2.0 * np.pi * self.uniform(purpose, 2 * step + 1))

    def exponential(self, mean: float | Floats, purpose: str, step: int | Places = 0) -> Floats:
        return -mean * np.log(self.uniform(purpose, step))

    def gamma(self, shape: float, purpose: str) -> Floats:
        """Gamma of this shape and scale 1 (N,), by Marsaglia and Tsang (2000)."""
        if shape < 1.0:
            return self.gamma(shape + 1.0, purpose) * self.uniform(f"{purpose}, boosted") ** (1.0 / shape)
        d = shape - 1.0 / 3.0
        value = np.full(len(self.keys), d)
        is_open = np.ones(len(self.keys), dtype=bool)
        for attempt in range(_ATTEMPTS):
            x = self.normal(purpose, attempt)
            v = (1.0 + x / np.sqrt(9.0 * d)) ** 3
            log_v = np.log(np.maximum(v, 1e-300))
            is_good = (v > 0) & (
                np.log(self.uniform(f"{purpose}, accepted", attempt)) < 0.5 * x * x + d - d * v + d * log_v
            )
            value = np.where(is_open & is_good, d * v, value)
            is_open &= ~is_good
        return value

    def beta(self, a: float, b: float, purpose: str) -> Floats:
        one, other = self.gamma(a, f"{purpose}, a"), self.gamma(b, f"{purpose}, b")
        return one / (one + other)

    def poisson(
        self, mean: float | NDArray[np.floating[Any]], purpose: str, step: int | Places = 0, *, most: int = 12
    ) -> Ints:
        """Poisson counts (N,) by inversion, cut at ``most``."""
        u = self.uniform(purpose, step)
        term = np.exp(-np.asarray(mean, dtype=np.float64)) + np.zeros_like(u)
        below = term.copy()
        count = np.zeros(len(u), dtype=np.int64)
        for k in range(1, most + 1):
            is_more = u > below
            if not is_more.any():
                break
            count += is_more
            term = term * mean / k
            below = below + term
        return count

    def one_of(self, shares: Floats, purpose: str, step: int | Places = 0) -> Ints:
        """Places (N,) into K ``shares`` that are proportional to probabilities."""
        return pick(shares, self.uniform(purpose, step))


def pick(shares: Floats, u: Floats) -> Ints:
    """The place (N,) that each ``u`` in (0, 1) falls into when K ``shares`` are laid side by side."""
    below = np.cumsum(shares)
    return np.minimum(np.searchsorted(below / below[-1], u, side="right"), len(shares) - 1)


@lru_cache(maxsize=4096)
def _word(seed: int, purpose: str) -> int:
    return int.from_bytes(hashlib.blake2b(f"{seed}/{purpose}".encode(), digest_size=8).digest(), "little")


def _spread(values: Places) -> Keys:
    spread: Keys = values.astype(np.uint64) * np.uint64(_GOLDEN)
    return spread


def _mixed(z: Keys) -> Keys:
    """``z`` itself, mixed in place."""
    z ^= z >> np.uint64(30)
    z *= np.uint64(_FIRST)
    z ^= z >> np.uint64(27)
    z *= np.uint64(_SECOND)
    z ^= z >> np.uint64(31)
    return z


def _mixed_one(z: int) -> int:
    z = ((z ^ (z >> 30)) * _FIRST) & _WORD
    z = ((z ^ (z >> 27)) * _SECOND) & _WORD
    return z ^ (z >> 31)
