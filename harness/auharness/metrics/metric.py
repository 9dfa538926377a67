"""What the harness knows about a metric: its function, what it is computed from, and its direction."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

__all__ = ["Metric", "Needs", "Parts"]

Needs: TypeAlias = Literal["counts", "confusion", "scores"]
Parts: TypeAlias = tuple[NDArray[Any], NDArray[Any]]
"""Numerators and denominators of one shape."""


@dataclass(frozen=True)
class Metric:
    """A named metric.

    Attributes:
        name: what protocols and tables call it, e.g. `macro-f1-binary`.
        compute: from counts `[..., A, 4]` to `[..., A]`; from a confusion matrix `[..., C, C]` to `[...]`; from target
            and score `[n, A]` to `[A]`.
        needs: which of these three. Only the first two have intervals: they are functions of counts that add up.
        title: what is printed, e.g. `macro-F1 {0,1}`; the name where it is left out.
        higher_is_better: direction of the arrow in tables.
        bounds: smallest and largest possible value.
        per_class: whether a metric of a confusion matrix has one value per class, `[..., C]`.
        parts: for a metric whose mean over labels is a mean of `R` ratios where no denominator is 0: from counts to
            their numerators and denominators `[..., R]`, each linear in the counts. Resampling is several times faster
            with it.
    """

    name: str
    compute: Callable[..., NDArray[np.float64]]
    needs: Needs
    title: str = ""
    higher_is_better: bool = True
    bounds: tuple[float, float] = (0.0, 1.0)
    per_class: bool = False
    parts: Callable[[NDArray[Any]], Parts] | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "title", self.title or self.name)

    def by_label(self, counts: NDArray[Any]) -> NDArray[np.float64]:
        """Return one value per label: `[..., A]` from counts, `[..., 1]` or `[..., C]` from a confusion matrix."""
        values = self.compute(counts)
        return values if self.needs == "counts" or self.per_class else np.asarray(values)[..., None]
