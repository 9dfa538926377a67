"""Integer counts from which every F1, accuracy, UAR and WAR of the harness is computed.

`Counts` is an int64 array `[..., A, 4]`; the last axis is (tp, fp, fn, tn), `A` is the number of AUs. A multi-class
result is a confusion matrix `[..., C, C]`; rows are the true class, columns the predicted class. Both add up: the
counts of a fold are the sum of the counts of its subjects, so scores and intervals never need the frames again.
"""

from collections.abc import Sequence
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from auharness.errors import UsageError

__all__ = ["FN", "FP", "TN", "TP", "Counts", "binary_counts", "confusion_matrix", "grouped_confusion", "grouped_counts"]

Counts: TypeAlias = NDArray[np.int64]

TP, FP, FN, TN = range(4)

# cell of the count vector by target * 2 + predicted; the fifth cell collects what is not coded
_CELL = np.array([TN, FP, FN, TP, 4])


def binary_counts(target: NDArray[Any], predicted: NDArray[np.bool_]) -> Counts:
    """Return (tp, fp, fn, tn) per AU over all frames.

    Args:
        target: `[n, A]`, 1 = present, 0 = absent, -1 = not coded (not counted).
        predicted: `[n, A]` boolean decisions; scores must be thresholded before.

    Returns:
        Counts `[A, 4]`; each row sums to the number of coded frames of that AU.

    Raises:
        UsageError: shapes differ, a target is not -1, 0 or 1, or the predictions are not boolean.

    >>> binary_counts(np.array([[1], [0], [-1]]), np.array([[True], [True], [True]])).tolist()
    [[1, 1, 0, 0]]
    """
    return grouped_counts(target, predicted, np.zeros(len(target), dtype=np.int64))[1].sum(axis=0)


def grouped_counts(
    target: NDArray[Any], predicted: NDArray[np.bool_], group: Sequence[str] | NDArray[Any]
) -> tuple[tuple[str, ...], Counts]:
    """Return the sorted group names (subjects, videos) and the counts of each group.

    Args:
        target: `[n, A]`, values -1 (not coded), 0, 1.
        predicted: `[n, A]` boolean decisions.
        group: `[n]`, the cluster that each frame belongs to.

    Returns:
        Names `(G)` and counts `[G, A, 4]`. A group without a coded frame keeps a row of zeros.

    Raises:
        UsageError: as `binary_counts`, or `group` has another length.
    """
    target, predicted = np.asarray(target), np.asarray(predicted)
    if target.ndim != 2 or target.shape != predicted.shape:
        raise UsageError(f"counts: target is {target.shape}, predicted is {predicted.shape}; expected two equal [n, A]")
    if predicted.dtype != np.bool_:
        raise UsageError(f"counts: predicted is {predicted.dtype}, expected bool; apply the threshold first")
    _check_range(target, low=-1, high=1, what="target")
    names, member = _groups(group, len(target))
    n_aus = target.shape[1]
    cell = _CELL[np.where(target < 0, 4, target * 2 + predicted).astype(np.int64)]
    row = member[:, None] * n_aus + np.arange(n_aus)
    counted = np.bincount((row * 5 + cell).ravel(), minlength=len(names) * n_aus * 5)
    return names, counted.reshape(len(names), n_aus, 5)[..., :4].astype(np.int64)


def confusion_matrix(target: NDArray[Any], predicted: NDArray[Any], n_classes: int) -> Counts:
    """Return the confusion matrix `[C, C]`; rows are true classes, columns predicted classes.

    Args:
        target: `[n]`, class 0..C-1, -1 = not coded (not counted).
        predicted: `[n]`, class 0..C-1.
        n_classes: C.

    Raises:
        UsageError: shapes differ or a class is out of range.

    >>> confusion_matrix(np.array([0, 1, -1]), np.array([0, 0, 1]), 2).tolist()
    [[1, 0], [1, 0]]
    """
    return grouped_confusion(target, predicted, np.zeros(len(target), dtype=np.int64), n_classes=n_classes)[1].sum(
        axis=0
    )


def grouped_confusion(
    target: NDArray[Any], predicted: NDArray[Any], group: Sequence[str] | NDArray[Any], *, n_classes: int
) -> tuple[tuple[str, ...], Counts]:
    """Return the sorted group names and the confusion matrix of each group, `[G, C, C]`.

    Args:
        target: `[n]`, class 0..C-1, -1 = not coded.
        predicted: `[n]`, class 0..C-1.
        group: `[n]`, the cluster (subject, source film) of each sample.
        n_classes: C.

    Raises:
        UsageError: shapes differ or a class is out of range.
    """
    target, predicted = np.asarray(target), np.asarray(predicted)
    if target.ndim != 1 or target.shape != predicted.shape:
        raise UsageError(f"confusion: target is {target.shape}, predicted is {predicted.shape}; expected two equal [n]")
    _check_range(target, low=-1, high=n_classes - 1, what="target")
    _check_range(predicted, low=0, high=n_classes - 1, what="predicted")
    names, member = _groups(group, len(target))
    coded = target >= 0
    index = ((member * n_classes + target) * n_classes + predicted)[coded].astype(np.int64)
    counted = np.bincount(index, minlength=len(names) * n_classes**2)
    return names, counted.reshape(len(names), n_classes, n_classes).astype(np.int64)


def _groups(group: Sequence[str] | NDArray[Any], length: int) -> tuple[tuple[str, ...], NDArray[np.int64]]:
    """Return the sorted names and the position of each frame's group among them."""
    group = np.asarray(group)
    if group.shape != (length,):
        raise UsageError(f"counts: group is {group.shape}, expected one name for each of the {length} rows")
    names, member = np.unique(group, return_inverse=True)
    return tuple(str(name) for name in names), member.astype(np.int64)


def _check_range(values: NDArray[Any], *, low: int, high: int, what: str) -> None:
    """Stop on the first value that is not an integer between low and high."""
    wrong = (values < low) | (values > high) | (values != np.floor(values))
    if wrong.any():
        row = int(np.argwhere(wrong)[0][0])
        raise UsageError(f"counts: {what} row {row} holds {values[wrong][0]}, expected integers from {low} to {high}")
