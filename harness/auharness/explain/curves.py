"""Training curves of a run: every quantity that its units logged after each epoch, and test scores where kept."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import numpy as np
import pandas as pd

from auharness import registry
from auharness.api import ProtocolPlugin
from auharness.errors import IntegrityError
from auharness.explain.figures import INK, MUTED, new_figure, save_figure
from auharness.results.schema import UnitRecord
from auharness.results.store import LOG, PREDICTIONS, RunFolder
from auharness.scoring import cluster_counts, unit_metrics

__all__ = ["curve_table", "draw_curves", "epoch_scores"]

_NOT_DRAWN: Final = ("epoch", "epochs", "s")
_NAMES: Final = {"train_score": "training score", "inner_val": "inner validation score"}
_MEAN: Final = "#1f5a96"
_TEST: Final = "#b03a2e"
_PER_ROW = 3
_COLUMNS: Final = ["quantity", "fold", "seed", "epoch", "value"]
TEST = "test "
"""Begins the name of a quantity of the test part."""


def curve_table(run: RunFolder) -> pd.DataFrame:
    """Return `quantity, fold, seed, epoch, value` of all finished units, from their logs.

    A stage in front of the last (a teacher) is a quantity of its own, `teacher: bce`. Of an epoch that was repeated
    after an interruption the last counts.

    Raises:
        IntegrityError: if a log is not one.
    """
    rows = [
        (name, unit.fold, unit.seed, epoch, value)
        for unit in run.finished()
        for epoch, name, value in _logged(run.unit_folder(unit.unit_id) / LOG)
    ]
    table = pd.DataFrame(rows, columns=_COLUMNS)
    return table.drop_duplicates(["quantity", "fold", "seed", "epoch"], keep="last").reset_index(drop=True)


def epoch_scores(run: RunFolder) -> pd.DataFrame:
    """Return the protocol's metrics on the test part after each epoch, columns as in `curve_table`.

    They exist where the recipe kept the predictions of every epoch; no choice was made by them.
    """
    protocol = registry.load("protocol", run.record.protocol)()
    rows = []
    for unit in run.finished():
        frame = pd.read_parquet(run.unit_folder(unit.unit_id) / PREDICTIONS)
        if "epoch" not in frame:
            continue
        targets = [f"{name}.target" for name in unit.columns]
        final = frame.loc[frame["epoch"].isna(), ["sample_id", *targets]]
        kept = frame[frame["epoch"].notna()].drop(columns=targets)
        for epoch in sorted(kept["epoch"].unique()):
            scores = kept[kept["epoch"] == epoch]
            found = _metrics(protocol, unit, scores.merge(final, on="sample_id", how="inner", validate="one_to_one"))
            rows += [(f"{TEST}{name}", unit.fold, unit.seed, int(epoch), value) for name, value in found]
    return pd.DataFrame(rows, columns=_COLUMNS)


def draw_curves(table: pd.DataFrame, path: Path, *, title: str) -> Path:
    """Write one panel per quantity: a thin line per fold and seed, and their mean.

    Args:
        table: from `curve_table` and `epoch_scores`, at least one row.
        path: of the png.
        title: stands above.
    """
    names = list(dict.fromkeys(table["quantity"]))
    across = min(_PER_ROW, len(names))
    down = -(-len(names) // across)
    figure = new_figure(max(3.9 * across, 5.2), 0.8 + 2.7 * down, layout="constrained")
    panels = figure.subplots(down, across, squeeze=False).ravel()
    for axis, name in zip(panels, names, strict=False):
        _draw(axis, table[table["quantity"] == name], name)
    for axis in panels[len(names) :]:
        axis.set_visible(False)
    figure.suptitle(title, fontsize=11, x=0.01, ha="left", color=INK)
    return save_figure(figure, path)


def _draw(axis: Any, table: pd.DataFrame, name: str) -> None:
    lines = table.pivot_table(index="epoch", columns=["fold", "seed"], values="value", sort=True)
    colour = _TEST if name.startswith(TEST) else _MEAN
    several = lines.shape[1] > 1
    for number, column in enumerate(lines):
        style = {"color": MUTED, "linewidth": 0.7, "alpha": 0.55} if several else {"color": colour, "linewidth": 1.6}
        axis.plot(lines.index, lines[column], label="fold" if number == 0 else None, **style)
    if several:
        # only where all lines go on: an early end of one would look like a change of the mean
        whole = lines.dropna()
        axis.plot(whole.index, whole.mean(axis=1), color=colour, linewidth=2.0, label=f"mean of {lines.shape[1]}")
        axis.legend(frameon=False, fontsize=8, loc="best")
    axis.set_title(_NAMES.get(name, name.replace("_", " ")), fontsize=10, loc="left", color=INK)
    axis.set_xlabel("epoch", fontsize=9)
    axis.grid(True, color="#e4e4e4", linewidth=0.7)
    axis.spines[["top", "right"]].set_visible(False)
    axis.tick_params(labelsize=8)
    axis.locator_params(axis="x", integer=True, nbins=6)
    axis.locator_params(axis="y", nbins=6)
    if len(lines) == 1:
        axis.plot(lines.index, lines.mean(axis=1), "o", color=colour, markersize=4)


def _logged(path: Path) -> Iterator[tuple[int, str, float]]:
    """Yield epoch, quantity and value."""
    try:
        events = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines() if line.strip()]
    except (OSError, ValueError) as error:
        raise IntegrityError(f"{path}: expected one JSON object per line ({error})") from None
    for event in events:
        if event.get("event") != "epoch":
            continue
        stage = f"{event['stage']}: " if event.get("stage") else ""
        for name, value in event.items():
            if name not in _NOT_DRAWN and isinstance(value, int | float) and not isinstance(value, bool):
                yield int(event["epoch"]), f"{stage}{name}", float(value)


def _metrics(protocol: ProtocolPlugin, unit: UnitRecord, frame: pd.DataFrame) -> list[tuple[str, float]]:
    multiclass = unit.kind == "classes"
    clusters = cluster_counts(
        frame,
        unit.columns,
        thresholds=unit.thresholds,
        multiclass=multiclass,
        cluster=protocol.cluster,
        datasets=protocol.test_on,
    )
    found = unit_metrics(protocol, frame, unit.columns, clusters=clusters, multiclass=multiclass)
    means = [(name, values["mean"]) for name, values in found.items()]
    return [(name, np.nan if value is None else value) for name, value in means]
