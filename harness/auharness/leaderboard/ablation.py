"""The page of an ablation."""

from pathlib import Path

from auharness.leaderboard.entries import newest, read_entries
from auharness.results.atomic import write_bytes

__all__ = ["write_ablation"]


def write_ablation(runs: Path, protocol: str, model: str) -> Path:
    """Write `leaderboard/<protocol>.<model>.ablation.md` below a runs folder and return its path."""
    entries, _ = read_entries(runs, protocol=protocol)
    lines = [f"- {entry.run.preset}: {entry.run.headline}" for entry in newest(entries) if entry.run.model == model]
    path = runs / "leaderboard" / f"{protocol}.{model}.ablation.md"
    write_bytes(path, "\n".join([f"# {protocol}: {model}", "", *lines, ""]).encode())
    return path
