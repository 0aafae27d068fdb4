"""Numbers and words as inputs of a network, fitted on training rows and kept as plain values in the manifest."""

from __future__ import annotations

from typing import Literal

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from tenure.config.settings import Settings

Encoding = Literal["piecewise", "standard"]


class Number(Settings):
    """How one number is encoded.

    ``edges`` are ascending bin edges, ``mean`` and ``sd`` those of the signed logarithm; ``tells_missing`` adds an
    input that is 1 where the number is missing, as some were in training.
    """

    name: str
    edges: tuple[float, ...]
    mean: float
    sd: float
    tells_missing: bool

    def width(self, encoding: Encoding) -> int:
        return self.tells_missing + (len(self.edges) - 1 if encoding == "piecewise" else 1)

    def told(self, x: np.ndarray, encoding: Encoding) -> np.ndarray:
        """(N,) float64 with NaN where missing -> (N,) float64, which ``Pieces`` makes ``width`` inputs of."""
        return self.place(x) if encoding == "piecewise" else (_signed_log(x) - self.mean) / self.sd

    def code(self, x: np.ndarray) -> np.ndarray:
        """(N,) int64: the bin, from 1, the last one for the highest edge and beyond; 0 where missing."""
        return np.where(np.isnan(x), 0, np.searchsorted(np.asarray(self.edges), x, side="right").clip(1))

    @property
    def codes(self) -> int:
        """How many codes there are, that of a missing number included."""
        return len(self.edges) + 1

    def place(self, x: np.ndarray) -> np.ndarray:
        """(N,) float64: how many bins lie below the value, its share of its own one included; NaN where missing.

        Beyond the outer edges it is that of the edge. The piecewise-linear encoding (Gorishniy, Rubachev, Babenko 2022)
        has a piece for each bin, full below the value and empty above it: of piece ``n`` it is ``place - n``, held in
        [0, 1].
        """
        edges = np.asarray(self.edges)
        bin_ = np.searchsorted(edges[1:-1], x, side="right")
        low, high = edges[bin_], edges[bin_ + 1]
        return bin_ + np.clip((x - low) / (high - low), 0.0, 1.0)


class Words(Settings):
    """How one text column is encoded: an input for each word seen in training; none for a new or missing one."""

    name: str
    words: tuple[str, ...]

    def code(self, column: pa.ChunkedArray | pa.Array) -> np.ndarray:
        """(N,) int64: the word, from 1; 0 for a new or missing one."""
        if not self.words:
            return np.zeros(len(column), np.int64)
        found = pc.index_in(column, value_set=pa.array(self.words, pa.string()))
        return pc.fill_null(pc.add(found, 1), 0).to_numpy().astype(np.int64)


def fit_number(name: str, x: np.ndarray, bins: int) -> Number | None:
    """Edges at the quantiles of training values, or at the values where they are few; None for a constant."""
    known = x[~np.isnan(x)]
    values = np.unique(known)
    if len(values) < 2:
        return None
    edges = values if len(values) <= bins + 1 else np.unique(np.quantile(known, np.linspace(0, 1, bins + 1)))
    logs = _signed_log(known)
    return Number(
        name=name,
        edges=tuple(edges.tolist()),
        mean=float(logs.mean()),
        sd=float(logs.std()),
        tells_missing=len(known) < len(x),
    )


def fit_words(name: str, column: pa.ChunkedArray | pa.Array, at_most: int) -> Words | None:
    """The most frequent words of training rows, alphabetically; None where there is nothing to tell apart."""
    counts = pc.value_counts(column.drop_null()).to_pylist()
    frequent = sorted(counts, key=lambda c: (-c["counts"], c["values"]))[:at_most]
    words = tuple(sorted(c["values"] for c in frequent))
    return Words(name=name, words=words) if len(words) > 1 else None


def numbers(column: pa.ChunkedArray | pa.Array) -> np.ndarray:
    """(N,) float64 of a numeric or flag column, NaN where null."""
    return column.cast(pa.float64()).to_numpy(zero_copy_only=False) if len(column) else np.zeros(0)


def _signed_log(x: np.ndarray) -> np.ndarray:
    return np.sign(x) * np.log1p(np.abs(x))
