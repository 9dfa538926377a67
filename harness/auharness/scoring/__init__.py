"""From predictions to counts, and from the counts of finished units to one row with its floors and interval."""

from auharness.scoring.clip_sums import clip_folds, clip_hits, names_clips, sum_clips
from auharness.scoring.predictions import cluster_counts, count_scored, unit_metrics
from auharness.scoring.thresholds import best_threshold, decision_values
from auharness.scoring.units import Score, dropped_rows, fold_counts, sample_word, score_units

__all__ = [
    "Score",
    "best_threshold",
    "clip_folds",
    "clip_hits",
    "cluster_counts",
    "count_scored",
    "decision_values",
    "dropped_rows",
    "fold_counts",
    "names_clips",
    "sample_word",
    "score_units",
    "sum_clips",
    "unit_metrics",
]
