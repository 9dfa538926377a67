"""Boards: what stands on them, how rows are ranked, what papers report, and the pages made from both."""

from auharness.leaderboard.ablation import write_ablation
from auharness.leaderboard.page import write_page

__all__ = ["write_ablation", "write_page"]
