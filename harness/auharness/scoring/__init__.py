"""From predictions to counts, and from the counts of finished units to one row with its floors and interval."""

from auharness.scoring.predictions import cluster_counts, count_scored, unit_metrics
from auharness.scoring.thresholds import best_f1_threshold, decision_values
from auharness.scoring.units import Score, dropped_rows, fold_counts, score_units

__all__ = [
    "Score",
    "best_f1_threshold",
    "cluster_counts",
    "count_scored",
    "decision_values",
    "dropped_rows",
    "fold_counts",
    "score_units",
    "unit_metrics",
]
