"""Mean maps of a run: where its networks look for each class or AU, over test samples that show it."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray

from auharness.explain.figures import INK, MUTED, new_canvas, overlay, place, save_arrays, save_figure
from auharness.explain.grad_cam import normalised
from auharness.explain.loaded import LoadedRun
from auharness.explain.maps import SampleMaps, chosen_layers, sample_maps
from auharness.explain.regions import REGIONS, region_shares

__all__ = ["MeanMaps", "draw_mean_maps", "mean_maps", "region_table", "save_mean_maps"]

AT_ONCE = 8
"""Samples in one pass."""
CELL, GAP, LEFT, TOP, BOTTOM = 1.25, 0.08, 1.05, 0.95, 0.32
"""Side of a picture, the space between two, and margins, in inches."""


@dataclass(frozen=True)
class MeanMaps:
    """What the samples of each output have in common."""

    outputs: tuple[str, ...]
    layers: tuple[str, ...]
    n: NDArray[np.int64]
    """`[A]` samples behind each mean."""
    faces: NDArray[np.float32]
    """`[A,S,S,3]`, the mean frame."""
    maps: NDArray[np.float32]
    """`[A,L,S,S]` in [0, 1], the mean over samples and frames of maps that are divided by the clip's maximum."""
    times: NDArray[np.float32]
    """`[A,L,T]`, the mean share of each frame in a clip's map; NaN where no frame is seen."""
    shares: NDArray[np.float64]
    """`[A,L,R]`, the mean share of each region; NaN without landmarks."""
    areas: NDArray[np.float64]
    """`[A,L,R]`, the share of the pixels."""
    n_shares: NDArray[np.int64]
    """`[A,L]` samples behind `shares`: those with landmarks and a map that is not 0."""


class _Sums:
    """Running sums of one output."""

    def __init__(self, layers: Sequence[str]) -> None:
        self.layers = layers
        self.n = 0
        self.face: Any = 0.0
        self.maps: dict[str, Any] = dict.fromkeys(layers, 0.0)
        self.times: dict[str, list[NDArray[np.float64]]] = {name: [] for name in layers}
        self.shares: dict[str, list[NDArray[np.float64]]] = {name: [] for name in layers}
        self.areas: dict[str, list[NDArray[np.float64]]] = {name: [] for name in layers}

    def add(self, item: SampleMaps) -> None:
        self.n += 1
        self.face = self.face + item.frames.mean(axis=0)
        for name in self.layers:
            maps = normalised(torch.from_numpy(item.maps[name])[None])[0].numpy()
            seen = ~np.isnan(maps).all(axis=(1, 2))
            self.maps[name] = self.maps[name] + maps[seen].mean(axis=0)
            energy = np.where(seen, np.nansum(maps, axis=(1, 2)), np.nan)
            if np.nansum(energy) > 0:
                self.times[name].append(energy / np.nansum(energy))
            if item.landmarks is not None:
                share, area = region_shares(maps, item.landmarks)
                if np.isfinite(share).all():
                    self.shares[name].append(share)
                    self.areas[name].append(area)


def mean_maps(
    run: LoadedRun, outputs: Sequence[str], *, layers: Sequence[str], mean_of: int, tell: Callable[[str], None]
) -> MeanMaps | None:
    """Return the mean maps of some outputs over test samples that show them, or None where no sample does.

    The map of a sample is that of the output which it shows: of the true class, or of an AU that is present.

    Args:
        run: any run with weights.
        outputs: scored labels.
        layers: names; empty for all.
        mean_of: at most so many samples of each output, spread evenly over the test samples.
        tell: hears which fold is at work.

    Raises:
        UsageError: if a layer is unknown.
    """
    wanted = _wanted(run, outputs, mean_of)
    sums: dict[str, _Sums] = {}
    names: tuple[str, ...] = ()
    for unit in run.units:
        rows = wanted[wanted["unit_id"] == unit.unit_id]
        if rows.empty:
            continue
        tell(f"mean maps: fold {unit.fold}, seed {unit.seed}, {len(rows)} samples")
        network = run.network(unit)
        chosen = chosen_layers(network, layers)
        names = tuple(chosen)
        pairs = list(zip(run.samples(rows), rows["output"], strict=True))
        for start in range(0, len(pairs), AT_ONCE):
            for item in sample_maps(run, network, pairs[start : start + AT_ONCE], layers=chosen):
                sums.setdefault(item.output, _Sums(names)).add(item)
    return _collected([name for name in outputs if name in sums], sums, names) if sums else None


def save_mean_maps(found: MeanMaps, path: Path) -> Path:
    """Write the arrays beside the picture."""
    return save_arrays(
        path,
        outputs=np.array(found.outputs),
        layers=np.array(found.layers),
        regions=np.array(REGIONS),
        n=found.n,
        faces=found.faces,
        maps=found.maps,
        frame_shares=found.times,
        region_shares=found.shares,
    )


def region_table(found: MeanMaps) -> pd.DataFrame:
    """Return shares in percent, one row per output and layer; `no landmarks` where only the mean shape is known."""
    rows = []
    for at, (output, layer) in enumerate(product(found.outputs, found.layers)):
        where = divmod(at, len(found.layers))
        count = int(found.n_shares[where])
        row: dict[str, object] = {"output": output, "layer": layer, "n": int(found.n[where[0]]), "n_landmarks": count}
        for region, share, area in zip(REGIONS, found.shares[where], found.areas[where], strict=True):
            row[f"{region} %"] = round(100 * float(share), 2) if count else "no landmarks"
            row[f"{region} area %"] = round(100 * float(area), 2) if count else "no landmarks"
        rows.append(row)
    return pd.DataFrame(rows)


def draw_mean_maps(found: MeanMaps, path: Path, *, title: str) -> Path:
    """Write the mean face of each output, below it the mean map of each layer, and when the deepest one is high."""
    columns, layers, frames = len(found.outputs), len(found.layers), found.times.shape[2]
    bars = 0.75 if frames > 1 else 0.0
    width = max(LEFT + columns * (CELL + GAP) + 0.2, 5.5)
    height = TOP + (1 + layers) * (CELL + GAP) + bars + BOTTOM
    figure, canvas = new_canvas(width, height)
    # one scale per layer: an output whose maps agree less is paler
    highest = [max(float(found.maps[:, number].max()), 1e-12) for number in range(layers)]
    for number, output in enumerate(found.outputs):
        left, face = LEFT + number * (CELL + GAP), found.faces[number]
        rows = [face, *(overlay(face, found.maps[number, layer] / highest[layer]) for layer in range(layers))]
        for row, shown in enumerate(rows):
            place(canvas, shown, left=left, bottom=height - TOP - (row + 1) * (CELL + GAP) + GAP, size=CELL)
        title_of = f"{output}\nn = {found.n[number]}"
        canvas.text(left + CELL / 2, height - TOP + 0.05, title_of, fontsize=9, ha="center", va="bottom", color=INK)
        if bars:
            share = float(np.nanmax(found.times[:, -1], initial=1e-12))
            _draw_times(canvas, found.times[number, -1] / share, left=left, high=bars - 0.25)
    names = ["mean frame", *found.layers]
    middles = [height - TOP - number * (CELL + GAP) - CELL / 2 for number in range(len(names))]
    if bars:
        names.append(f"{found.layers[-1]}\nby frame")
        middles.append(BOTTOM + bars / 2)
    for name, middle in zip(names, middles, strict=True):
        canvas.text(LEFT - 0.12, middle, name, fontsize=9, ha="right", va="center", color=INK)
    canvas.text(0.12, height - 0.24, title, fontsize=11, va="center", color=INK)
    note = "Mean Grad-CAM of test samples that show the output; brightest: the row's maximum"
    canvas.text(0.12, 0.15, note, fontsize=8, va="center", color=MUTED)
    return save_figure(figure, path)


def _draw_times(canvas: Any, shares: NDArray[np.float32], *, left: float, high: float) -> None:
    """Bars from the first frame to the last; `shares` `[T]` in [0, 1]."""
    step, bottom = CELL / len(shares), BOTTOM + 0.14
    middles = left + (np.arange(len(shares)) + 0.5) * step
    canvas.bar(middles, high * np.nan_to_num(shares), bottom=bottom, width=0.8 * step, color="#b5367a")
    canvas.plot([left, left + CELL], [bottom, bottom], color=MUTED, linewidth=0.8)
    for number in (0, len(shares) - 1):
        canvas.text(middles[number], bottom - 0.03, str(number), fontsize=7, ha="center", va="top", color=MUTED)


def _wanted(run: LoadedRun, outputs: Sequence[str], mean_of: int) -> pd.DataFrame:
    """Rows of the predictions and the column `output`; a sample that several units test counts once."""
    table = run.predictions.drop_duplicates("sample_id")
    parts = []
    for name in outputs:
        if f"{name}.target" not in table:
            continue
        rows = table[table[f"{name}.target"] == 1]
        if len(rows) > mean_of:
            rows = rows.iloc[np.linspace(0, len(rows) - 1, mean_of).round().astype(int)]
        parts.append(rows.assign(output=name))
    return pd.concat(parts) if parts else table.iloc[:0].assign(output="")


def _collected(outputs: Sequence[str], sums: dict[str, _Sums], layers: tuple[str, ...]) -> MeanMaps:
    frames = max((len(times) for one in sums.values() for found in one.times.values() for times in found), default=1)

    def mean(values: Sequence[NDArray[np.float64]], length: int) -> NDArray[np.float64]:
        return np.mean(values, axis=0) if len(values) else np.full(length, np.nan)

    own = [sums[name] for name in outputs]
    return MeanMaps(
        outputs=tuple(outputs),
        layers=layers,
        n=np.array([one.n for one in own]),
        faces=np.stack([one.face / one.n for one in own]).astype(np.float32),
        maps=np.stack([[one.maps[name] / one.n for name in layers] for one in own]).astype(np.float32),
        times=np.stack([[mean(one.times[name], frames) for name in layers] for one in own]).astype(np.float32),
        shares=np.stack([[mean(one.shares[name], len(REGIONS)) for name in layers] for one in own]),
        areas=np.stack([[mean(one.areas[name], len(REGIONS)) for name in layers] for one in own]),
        n_shares=np.array([[len(one.shares[name]) for name in layers] for one in own]),
    )
