"""Boards: what stands on them, how rows are ranked, what papers report, and the pages made from both."""

from auharness.leaderboard.ablation_page import write_ablation
from auharness.leaderboard.board import (
    add_bench,
    add_run,
    add_scaling,
    build_boards,
    check_boards,
    write_page,
    write_scaling,
)

__all__ = [
    "add_bench",
    "add_run",
    "add_scaling",
    "build_boards",
    "check_boards",
    "write_ablation",
    "write_page",
    "write_scaling",
]
