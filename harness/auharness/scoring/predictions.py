"""From one unit's predictions to counts per sampling unit and to its metrics."""

from collections.abc import Sequence

import numpy as np
import pandas as pd

from auharness.api import ProtocolPlugin
from auharness.metrics import binary_counts, confusion_matrix, metric
from auharness.results.schema import ClusterCounts

__all__ = ["cluster_counts", "count_scored", "unit_metrics"]


def cluster_counts(
    predictions: pd.DataFrame,
    columns: Sequence[str],
    *,
    thresholds: Sequence[float],
    multiclass: bool,
    cluster: str = "subject",
    datasets: Sequence[str] = (),
) -> tuple[ClusterCounts, ...]:
    """Count a unit's predictions per sampling unit.

    Args:
        predictions: columns `sample_id`, `subject`, a score per label and `<label>.target` (1, 0, -1 = not coded).
        columns: scored labels.
        thresholds: a score at or above it says present; not used for classes.
        multiclass: whether the labels are classes of which one holds.
        cluster: `subject`; or `video`, `clip` and `unknown`, for which the sequence inside the sample id counts.
        datasets: what the protocol tests. Of several, two may call different people by one name (CASME and CASME II
            share 19 names), so a cluster is named `dataset/subject` then.

    Returns:
        One entry per cluster, sorted by name.
    """
    scores = predictions[list(columns)].to_numpy(np.float64)
    target = predictions[[f"{name}.target" for name in columns]].to_numpy(np.int8)
    ids = predictions["sample_id"].astype(str)
    own = predictions["subject"].astype(str) if cluster == "subject" else ids.map(_sequence)
    names = (ids.str.partition("/")[0] + "/" + own if len(set(datasets)) > 1 else own).to_numpy()
    found = []
    for name in sorted(set(names)):
        inside = names == name
        if multiclass:
            counts = _class_counts(target[inside], scores[inside])
        else:
            counts = binary_counts(target[inside], scores[inside] >= np.asarray(thresholds))
        rows = tuple(tuple(int(value) for value in row) for row in counts)
        found.append(ClusterCounts(name=str(name), n_rows=int(inside.sum()), counts=rows))
    return tuple(found)


def count_scored(predictions: pd.DataFrame, columns: Sequence[str]) -> int:
    """Return the number of rows in which at least one of the labels is coded."""
    target = predictions[[f"{name}.target" for name in columns]].to_numpy(np.int8)
    return int((target >= 0).any(axis=1).sum())


def unit_metrics(
    protocol: ProtocolPlugin,
    predictions: pd.DataFrame,
    columns: Sequence[str],
    *,
    clusters: Sequence[ClusterCounts],
    multiclass: bool,
) -> dict[str, dict[str, float | None]]:
    """Return every metric of the protocol on one unit's test part: metric -> label (and `mean`) -> value or None."""
    total = np.sum([np.array(item.counts) for item in clusters], axis=0)
    results: dict[str, dict[str, float | None]] = {}
    for name in protocol.metrics:
        entry = metric(name)
        if entry.needs == "scores":
            target = predictions[[f"{column}.target" for column in columns]].to_numpy(np.int8)
            values = entry.compute(target, predictions[list(columns)].to_numpy(np.float64))
        else:
            values = entry.by_label(total)
        labels = ("all",) if entry.needs == "confusion" and multiclass and not entry.per_class else tuple(columns)
        results[name] = {label: _finite(float(value)) for label, value in zip(labels, values, strict=True)}
        results[name]["mean"] = _finite(float(np.nanmean(values))) if np.isfinite(values).any() else None
    return results


def _class_counts(target: np.ndarray, scores: np.ndarray) -> np.ndarray:
    true = np.where((target == 1).any(axis=1), (target == 1).argmax(axis=1), -1)
    return confusion_matrix(true, scores.argmax(axis=1), target.shape[1])


def _sequence(sample_id: str) -> str:
    """`dataset/sequence/frame` -> `sequence`; a clip's id `dataset/sequence` is kept whole."""
    parts = sample_id.split("/")
    return "/".join(parts[1:-1]) if len(parts) > 2 else sample_id


def _finite(value: float) -> float | None:
    return float(value) if np.isfinite(value) else None
