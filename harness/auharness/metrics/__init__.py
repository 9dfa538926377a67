"""Metrics from integer counts, and the table of those that a protocol may name.

>>> metric("f1").needs
'counts'
"""

from auharness.errors import UsageError, near
from auharness.metrics.accuracy import accuracy, accuracy_parts
from auharness.metrics.aggregate import (
    AGGREGATIONS,
    Aggregate,
    Aggregation,
    FoldCounts,
    aggregate,
    all_aggregations,
    are_disjoint,
)
from auharness.metrics.auroc import auroc
from auharness.metrics.average_precision import average_precision
from auharness.metrics.confusion import normalise_rows, recall, recall_parts
from auharness.metrics.counts import (
    FN,
    FP,
    TN,
    TP,
    Counts,
    binary_counts,
    confusion_matrix,
    grouped_confusion,
    grouped_counts,
)
from auharness.metrics.defined import mean_defined, ratio
from auharness.metrics.f1 import f1, f1_parts
from auharness.metrics.f1_max import f1_max
from auharness.metrics.macro_f1 import class_f1, class_f1_parts, macro_f1, weighted_f1
from auharness.metrics.macro_f1_binary import macro_f1_binary, macro_f1_binary_parts
from auharness.metrics.metric import Metric, Needs
from auharness.metrics.uar import uar
from auharness.metrics.war import war, war_parts

__all__ = [
    "AGGREGATIONS",
    "FN",
    "FP",
    "METRICS",
    "TN",
    "TP",
    "Aggregate",
    "Aggregation",
    "Counts",
    "FoldCounts",
    "Metric",
    "Needs",
    "accuracy",
    "aggregate",
    "all_aggregations",
    "are_disjoint",
    "auroc",
    "average_precision",
    "binary_counts",
    "class_f1",
    "confusion_matrix",
    "f1",
    "f1_max",
    "grouped_confusion",
    "grouped_counts",
    "macro_f1",
    "macro_f1_binary",
    "mean_defined",
    "metric",
    "normalise_rows",
    "objective",
    "ratio",
    "recall",
    "uar",
    "war",
    "weighted_f1",
]

METRICS: dict[str, Metric] = {
    entry.name: entry
    for entry in (
        Metric("f1", f1, "counts", "F1", parts=f1_parts),
        Metric("macro-f1-binary", macro_f1_binary, "counts", "macro-F1 {0,1}", parts=macro_f1_binary_parts),
        Metric("accuracy", accuracy, "counts", parts=accuracy_parts),
        Metric("uar", uar, "confusion", "UAR", parts=recall_parts),
        Metric("war", war, "confusion", "WAR", parts=war_parts),
        Metric("macro-f1", macro_f1, "confusion", "macro-F1", parts=class_f1_parts),
        Metric("weighted-f1", weighted_f1, "confusion", "weighted-F1"),
        Metric("recall", recall, "confusion", per_class=True, parts=recall_parts),
        Metric("auroc", auroc, "scores", "AUROC"),
        Metric("average-precision", average_precision, "scores", "AP"),
        Metric("f1-max", f1_max, "scores", "F1-max (test-oracle)"),
    )
}


def metric(name: str) -> Metric:
    """Return the metric of that name.

    Raises:
        UsageError: no metric has that name; the message names the nearest one.
    """
    if name not in METRICS:
        raise UsageError(f"no metric named '{name}'{near(name, METRICS)} (metrics: {', '.join(METRICS)})")
    return METRICS[name]


def objective(headline: str) -> Metric:
    """Return the metric by which thresholds and epochs of a label are chosen under a headline.

    The headline itself where it decides from counts, so that nothing is tuned for another number than the one that is
    told; F1 where it needs no decision, such as AUROC, or is one of classes.

    >>> objective("macro-f1-binary").name, objective("auroc").name
    ('macro-f1-binary', 'f1')

    Raises:
        UsageError: no metric has that name.
    """
    entry = metric(headline)
    return entry if entry.needs == "counts" else METRICS["f1"]
