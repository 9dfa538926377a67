"""The score at which a label counts as present."""

from collections.abc import Sequence

import numpy as np

from auharness.metrics import Metric, binary_counts
from auharness.metrics.defined import ratio
from auharness.metrics.thresholds import cumulated

__all__ = ["best_f1_threshold", "best_of_grid", "decision_values"]


def decision_values(
    score_kind: str, columns: Sequence[str], *, train_target: np.ndarray, train_scores: np.ndarray | None
) -> tuple[float, ...]:
    """Return one decision value per label, on the scale of the scores.

    Args:
        score_kind: `probability` decides at 0.5; `logit` and `margin` at 0.
        columns: scored labels.
        train_target: `[N,A]` training labels, -1 = not coded.
        train_scores: `[N,A]` scores of the training rows for the rule `train-tuned`; None for `fixed-0.5`.
    """
    fixed = 0.5 if score_kind == "probability" else 0.0
    if train_scores is None:
        return (fixed,) * len(columns)
    return tuple(
        best_f1_threshold(train_target[:, number], train_scores[:, number], otherwise=fixed)
        for number in range(len(columns))
    )


def best_f1_threshold(target: np.ndarray, scores: np.ndarray, *, otherwise: float) -> float:
    """Return the score at which F1 is largest, halfway to the next lower score; `otherwise` without positives.

    Args:
        target: `[N]` 1, 0 or -1 = not coded.
        scores: `[N]`.
        otherwise: value where no threshold is better than another.
    """
    coded = target >= 0
    target, scores = target[coded], scores[coded]
    positives = int((target == 1).sum())
    if positives == 0:
        return otherwise
    true, false = cumulated(target == 1, scores)
    values = np.unique(scores)[::-1]
    best = int(np.argmax(ratio(2 * true, true + false + positives)))
    lower = values[best + 1] if best + 1 < len(values) else values[best]
    return float((values[best] + lower) / 2)


def best_of_grid(target: np.ndarray, scores: np.ndarray, *, grid: Sequence[float], metric: Metric) -> float:
    """Return the decision value that says present above the best value of a grid; of equal ones the first.

    Args:
        target: `[N]` 1, 0 or -1 = not coded.
        scores: `[N]`.
        grid: values on the scale of the scores; a sample is present where its score is greater.
        metric: a metric of counts.
    """
    counts = [binary_counts(target[:, None], scores[:, None] > value) for value in grid]
    values = np.nan_to_num(np.array([metric.compute(one)[0] for one in counts]), nan=-np.inf)
    # decisions are made with >= everywhere else
    return float(np.nextafter(grid[int(np.argmax(values))], np.inf))
