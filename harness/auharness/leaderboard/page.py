"""The page of a protocol."""

from pathlib import Path

import pandas as pd

from auharness import registry
from auharness.leaderboard.entries import newest, read_entries
from auharness.leaderboard.escape import markdown
from auharness.results.atomic import write_bytes
from auharness.scoring import score_units

__all__ = ["write_page"]


def write_page(runs: Path, protocol: str) -> Path:
    """Write `leaderboard/<protocol>.md` below a runs folder and return its path."""
    plugin = registry.load("protocol", protocol)()
    entries, _ = read_entries(runs, protocol=protocol)
    rows = []
    for entry in newest(entries):
        score = score_units(plugin, entry.units)
        interval = score.interval
        rows.append(
            {
                "model": markdown(entry.run.model),
                "preset": markdown(entry.run.preset),
                "data": entry.run.data_origin,
                score.metric: f"{100 * score.headline:.2f}",
                "95 % interval": "n/a"
                if interval is None
                else f"{100 * interval.low:.2f} to {100 * interval.high:.2f}",
                **{name: f"{100 * value:.2f}" for name, value in zip(score.columns, score.by_label, strict=True)},
            }
        )
    path = runs / "leaderboard" / f"{protocol}.md"
    table = pd.DataFrame(rows).to_markdown(index=False, disable_numparse=True)
    write_bytes(path, f"# {protocol}\n\n{table}\n".encode())
    return path
