"""Floors, intervals and tests from counts by subject; measured properties are in this folder's README.md."""

from auharness.statistics.bootstrap import DRAWS, LEVEL, Interval, bootstrap_interval
from auharness.statistics.chance import CHANCE_DRAWS, ORACLE_GRID, chance_levels
from auharness.statistics.clips import RECALL_MEANS, clip_difference, clip_interval, clip_swap_test, resamples_clips
from auharness.statistics.compare import Comparison, compare, compare_family, swap_test
from auharness.statistics.floors import floors
from auharness.statistics.headline import Headline
from auharness.statistics.holm import holm
from auharness.statistics.interval import headline_interval
from auharness.statistics.ranks import shared_ranks

__all__ = [
    "CHANCE_DRAWS",
    "DRAWS",
    "LEVEL",
    "ORACLE_GRID",
    "RECALL_MEANS",
    "Comparison",
    "Headline",
    "Interval",
    "bootstrap_interval",
    "chance_levels",
    "clip_difference",
    "clip_interval",
    "clip_swap_test",
    "compare",
    "compare_family",
    "floors",
    "headline_interval",
    "holm",
    "resamples_clips",
    "shared_ranks",
    "swap_test",
]
