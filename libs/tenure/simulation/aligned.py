"""Values that belong together, one array a field, the things that they are about last."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import fields, replace
from typing import Any, TypeVar

import numpy as np

from tenure.simulation.chance import Chance, Flags, Ints, Places

A = TypeVar("A", bound="Aligned")


class Aligned:
    """A base for dataclasses of arrays (..., N) and of what can be taken from and joined like them."""

    def take(self: A, places: Places) -> A:
        """The same fields of these things (n,) alone."""
        return self._each(
            lambda value: value.take(places) if isinstance(value, (Aligned, Chance)) else value[..., places]
        )

    def followed_by(self: A, other: A) -> A:
        """These things, then the other ones."""
        values = {f.name: end_to_end(getattr(self, f.name), getattr(other, f.name)) for f in fields(self)}  # type: ignore[arg-type]
        return replace(self, **values)  # type: ignore[type-var]

    def _each(self: A, change: Any) -> A:
        return replace(self, **{f.name: change(getattr(self, f.name)) for f in fields(self)})  # type: ignore[arg-type,type-var]


def each_of(values: Ints, among: Flags | None = None) -> Iterator[tuple[int, Ints]]:
    """Each of the ``values`` (n,), in order, with the places that have it; or those of them that are ``among`` (n,)."""
    counts = np.ones(len(values), dtype=bool) if among is None else among
    for value in np.unique(values[counts]):
        yield int(value), np.flatnonzero(counts & (values == value))


def end_to_end(one: Any, other: Any) -> Any:
    """One array, chance or aligned group after the other."""
    if isinstance(one, Aligned):
        return one.followed_by(other)
    if isinstance(one, Chance):
        return Chance(np.concatenate([one.keys, other.keys]))
    return np.concatenate([one, other], axis=-1)
