"""Pictures of single samples: strips of their maps, traces, and several runs beside each other."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from auharness.explain.figures import Made, save_arrays
from auharness.explain.loaded import LoadedRun, Network, Sample
from auharness.explain.maps import SampleMaps
from auharness.explain.strip import StripRow, draw_strip
from auharness.explain.traces import draw_traces

__all__ = ["draw_comparison", "draw_sample", "draw_sample_traces"]


def draw_sample(run: LoadedRun, item: SampleMaps, out: Path, *, per_frame: bool) -> Made:
    """Write `<sample>/<output>.<layer>.png` and `.npz` for each layer, and `<output>.png` with all of them."""
    folder = _sample_folder(out, item.sample)
    title, subtitle = _titles(run, item)
    plain = StripRow("frames", item.frames)
    rows = {name: StripRow(_label(item, name), item.frames, maps) for name, maps in item.maps.items()}
    paths = []

    def draw(chosen: Sequence[StripRow], name: str) -> None:
        drawn = draw_strip([plain, *chosen], folder / name, title=title, subtitle=subtitle, per_frame=per_frame)
        paths.append(drawn)

    for name, row in rows.items():
        draw([row], f"{item.output}.{name}.png")
        _save_maps(item, name, folder / f"{item.output}.{name}.npz")
    if len(rows) > 1:
        draw(list(rows.values()), f"{item.output}.png")
    shown = {"kind": "strip", "path": str(paths[-1]), "paths": [str(path) for path in paths]}
    return shown | _as_dict(run, item)


def draw_sample_traces(run: LoadedRun, network: Network, item: SampleMaps, out: Path) -> Made:
    """Write `<sample>/traces.png` and `.npz`; they are the same for all outputs."""
    folder = _sample_folder(out, item.sample)
    places = {f"{name}.frame_places": values for name, values in item.trace_places.items()}
    save_arrays(folder / "traces.npz", **item.traces, **places)
    drawn = draw_traces(
        item.traces,
        folder / "traces.png",
        names=network.plugin.traces,
        places=item.trace_places,
        title=_where(run, item),
    )
    return {"kind": "traces", "path": str(drawn), "sample": item.sample.id}


def draw_comparison(runs: Sequence[LoadedRun], found: Sequence[SampleMaps], out: Path, *, per_frame: bool) -> Made:
    """Write `<sample>/<output>.compare.png`, a row per run and layer, and an npz for each."""
    first = found[0]
    folder = _sample_folder(out, first.sample)
    names = [run.name for run in runs]
    rows = [StripRow("frames", first.frames)]
    for run, item in zip(runs, found, strict=True):
        own = run.name if names.count(run.name) == 1 else f"{run.name} {run.folder.path.name[:8]}"
        for name, maps in item.maps.items():
            said = f"{item.answer.text.split(',')[0]}, {item.answer.said}"
            rows.append(StripRow(f"{own}\n{_label(item, name)}\n{said}", item.frames, maps))
            _save_maps(item, name, folder / f"{first.output}.{own.replace(' ', '-')}.{name}.npz")
    path = draw_strip(
        rows,
        folder / f"{first.output}.compare.png",
        title=f"{first.sample.id}{_mark(first.sample)}",
        subtitle=f"{first.output}: true {first.answer.truth}",
        per_frame=per_frame,
    )
    told = [_as_dict(run, item) for run, item in zip(runs, found, strict=True)]
    return {"kind": "comparison", "path": str(path), "sample": first.sample.id, "output": first.output, "runs": told}


def _titles(run: LoadedRun, item: SampleMaps) -> tuple[str, str]:
    return _where(run, item), f"{item.output}: {item.answer.text}"


def _where(run: LoadedRun, item: SampleMaps) -> str:
    unit = item.sample.unit
    seed = f", seed {unit.seed}" if len({one.seed for one in run.units}) > 1 else ""
    fold = unit.fold if unit.fold.startswith("fold") else f"fold {unit.fold}"
    return f"{item.sample.id}{_mark(item.sample)}   {run.name}, {fold}{seed}"


def _mark(sample: Sample) -> str:
    return "   TRAINING SAMPLE" if sample.training else ""


def _label(item: SampleMaps, layer: str) -> str:
    count, high, wide = item.cells[layer].shape
    cells = f"{count} x {high} x {wide}" if len(item.frames) > 1 else f"{high} x {wide}"
    return f"{layer}\n{cells}" + ("" if item.cells[layer].any() else "\n0 everywhere")


def _save_maps(item: SampleMaps, layer: str, path: Path) -> None:
    save_arrays(
        path,
        frames=(255 * item.frames).round().astype(np.uint8),
        cells=item.cells[layer],
        maps=item.maps[layer],
        frame_places=item.places[layer],
        score=item.answer.score,
        probability=item.answer.probability,
    )


def _as_dict(run: LoadedRun, item: SampleMaps) -> Made:
    sample, answer = item.sample, item.answer
    return {
        "run": str(run.folder.path),
        "sample": sample.id,
        "fold": sample.unit.fold,
        "seed": sample.unit.seed,
        "training_sample": sample.training,
        "output": item.output,
        "score": answer.score,
        "recorded_score": sample.recorded.get(item.output),
        "probability": answer.probability if np.isfinite(answer.probability) else None,
        "predicted": answer.said,
        "true": answer.truth,
        "right": answer.right,
        "layers": {
            name: {"cells": list(cells.shape), "frame_places": item.places[name].round(4).tolist()}
            for name, cells in item.cells.items()
        },
    }


def _sample_folder(out: Path, sample: Sample) -> Path:
    """A folder per level of the sample's id; a name from data never leads out of `out`."""
    return out.joinpath(*(part.replace("..", "_") for part in sample.id.split("/") if part))
