"""The page of the scaling suite, its table for machines and its pictures, from points alone."""

from functools import partial
from pathlib import Path

from auharness.leaderboard.figure import Picture
from auharness.leaderboard.scaling.figure import draw_scaling, scaling_digest
from auharness.leaderboard.scaling.page import picture_name, scaling_csv, scaling_page
from auharness.leaderboard.scaling.series import panels
from auharness.scaling.point import Point, read_points

__all__ = ["NAME", "scaling_files", "scaling_pictures", "scaling_points"]

NAME = "mixer-scaling"
"""Name of the page, and of its csv."""


def scaling_points(folder: Path) -> list[Point]:
    """Return the points below `scaling/` of a data folder."""
    return read_points(sorted((folder / "scaling").glob("*.jsonl")))


def scaling_files(points: list[Point], *, head: str = "", name: str = NAME) -> dict[str, str]:
    """Return file name -> text; nothing where nothing was measured."""
    if not points:
        return {}
    return {f"{name}.md": scaling_page(points, head=head), f"{name}.csv": scaling_csv(points)}


def scaling_pictures(points: list[Point]) -> dict[str, Picture]:
    """Return file name -> picture, one for each machine and level."""
    return {
        picture_name(panel): (scaling_digest(panel), partial(draw_scaling, panel))
        for panel in panels(points)
        if panel.sweep == "length" and any(line.measured for line in panel.lines)
    }
