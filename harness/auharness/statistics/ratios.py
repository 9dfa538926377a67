"""Means of ratios of resampled counts, fast: F1, accuracy, recall and what is averaged from them.

Numerator and denominator of F1 = 2 TP / (2 TP + FP + FN) are linear in the counts, so those of a resample are products
of its weights with those of the clusters, and taking a cluster away is one subtraction. Draws are the last axis, so
that each step below is one operation on long vectors.
"""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from auharness.metrics.metric import Parts

__all__ = ["Ratios"]

# multiplications up to which OpenBLAS computes a product on one thread; to wake others costs more than it saves
_PRODUCT = 1 << 18


class Ratios:
    """Mean over units of the mean over `R` ratios, for any weighting of `K` clusters; NaN where a denominator is 0."""

    def __init__(
        self, units: Sequence[tuple[NDArray[np.int64], NDArray[np.float64]]], parts: Callable[[NDArray[Any]], Parts]
    ) -> None:
        """Split the counts of each unit.

        Args:
            units: the clusters of each unit, `[S]` indices below `K`, and their counts `[S, ...]`.
            parts: from counts to numerators and denominators `[S, R]`, both linear.
        """
        self._units = [(member, np.hstack(parts(counts)).T.copy()) for member, counts in units]

    def scores(self, weights: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return the score of each column of weights `[K, D]`, `[D]`."""
        found = np.zeros(weights.shape[1])
        for member, parts in self._units:
            found += _mean(*_totals(parts, weights[member]))
        return found / len(self._units)

    def scores_and_rest(self, weights: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Return the scores of each column of weights `[K, D]`, 0 or 1, and of all that it leaves out, each `[D]`."""
        found, rest = np.zeros((2, weights.shape[1]))
        for member, parts in self._units:
            totals = _totals(parts, weights[member])
            found += _mean(*totals)
            for part, whole in zip(totals, _halves(parts.sum(axis=1, keepdims=True)), strict=True):
                np.subtract(whole, part, out=part)
            rest += _mean(*totals)
        return found / len(self._units), rest / len(self._units)

    def delete_one(self, weights: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return the score of each column of weights `[K, D]` with one copy of each cluster taken away, `[K, D]`."""
        found = np.zeros(weights.shape)
        for member, parts in self._units:
            totals = _totals(parts, weights[member])
            whole = _mean(*totals)
            without = np.zeros((len(member), weights.shape[1]))
            left, right = np.empty_like(without), np.empty_like(without)
            with np.errstate(divide="ignore", invalid="ignore"):
                for above, below, numerators, denominators in zip(*totals, *_halves(parts), strict=True):
                    np.subtract(above, numerators[:, None], out=left)
                    np.subtract(below, denominators[:, None], out=right)
                    without += np.divide(left, right, out=left)
            without /= len(totals[0])
            # taking a cluster away changes only the units that test it
            found += whole
            found[member] += without - whole
        return found / len(self._units)


def _totals(parts: NDArray[np.float64], weights: NDArray[np.float64]) -> Parts:
    """Return the weighted sums of numerators and denominators, each `[R, D]`."""
    step = max(1, _PRODUCT // parts.size)
    blocks = [parts @ weights[:, start : start + step] for start in range(0, weights.shape[1], step)]
    return _halves(np.concatenate(blocks, axis=1))


def _halves(rows: NDArray[np.float64]) -> Parts:
    return rows[: len(rows) // 2], rows[len(rows) // 2 :]


def _mean(numerators: NDArray[np.float64], denominators: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the mean ratio, `[D]`."""
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.asarray((numerators / denominators).mean(axis=0))
