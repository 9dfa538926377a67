"""The score at which a label counts as present."""

from collections.abc import Sequence

import numpy as np

from auharness.metrics import Metric, binary_counts
from auharness.metrics.thresholds import cumulated

__all__ = ["best_of_grid", "best_threshold", "decision_values"]


def decision_values(
    score_kind: str,
    columns: Sequence[str],
    *,
    metric: Metric,
    train_target: np.ndarray,
    train_scores: np.ndarray | None,
) -> tuple[float, ...]:
    """Return one decision value per label, on the scale of the scores.

    Args:
        score_kind: `probability` decides at 0.5; `logit` and `margin` at 0.
        columns: scored labels.
        metric: what `train-tuned` maximises, a metric of counts; `auharness.metrics.objective` of the headline.
        train_target: `[N,A]` training labels, -1 = not coded.
        train_scores: `[N,A]` scores of the training rows for the rule `train-tuned`; None for `fixed-0.5`.
    """
    fixed = 0.5 if score_kind == "probability" else 0.0
    if train_scores is None:
        return (fixed,) * len(columns)
    return tuple(
        best_threshold(train_target[:, number], train_scores[:, number], metric=metric, otherwise=fixed)
        for number in range(len(columns))
    )


def best_threshold(target: np.ndarray, scores: np.ndarray, *, metric: Metric, otherwise: float) -> float:
    """Return the score at which a metric is largest, halfway to the next lower score; `otherwise` without positives.

    Of equal ones the highest. Where saying never is better than every score that was seen, just above all of them;
    with F1 it never is.

    Args:
        target: `[N]` 1, 0 or -1 = not coded.
        scores: `[N]`.
        metric: a metric of counts.
        otherwise: value where no threshold is better than another.
    """
    coded = target >= 0
    target, scores = target[coded], scores[coded]
    positives = int((target == 1).sum())
    if positives == 0:
        return otherwise
    true, false = cumulated(target == 1, scores)
    values = np.unique(scores)[::-1]
    # the last one says never
    true, false = np.append(true, 0.0), np.append(false, 0.0)
    counts = np.stack((true, false, positives - true, len(target) - positives - false), axis=-1)
    best = int(np.argmax(np.nan_to_num(metric.compute(counts), nan=-np.inf)))
    if best == len(values):
        return float(np.nextafter(values[0], np.inf))
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
