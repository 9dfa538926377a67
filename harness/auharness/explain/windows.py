"""A stretch of a recording as a model that answers for each frame went through it: what it says, sees and hears.

What overlapping windows say of a frame is averaged, as in a run, and so is what they put out beside their logits.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from auharness.api import ModelPlugin
from auharness.data.cache import CropCache
from auharness.data.sound import RATE
from auharness.errors import IntegrityError, UsageError
from auharness.explain.answers import probabilities, surest
from auharness.explain.loaded import LoadedRun, Sample
from auharness.explain.maps import DIFFERENCE
from auharness.results.schema import UnitRecord
from auharness.runner.parts import make_source, part_at, sounds_of
from auharness.runner.plan import crop_settings
from auharness.runner.prepare import crops_of
from auharness.runner.progress import Progress
from auharness.training.predictor import ModulePredictor, as_output, call
from auharness.training.window_source import WindowSource

__all__ = ["Stretch", "WindowTraces", "stretch_of", "surest_stretches", "window_traces"]

SHOWN = 12
"""So many frames of a stretch are pictured."""


@dataclass(frozen=True, slots=True)
class Stretch:
    """Part of a recording that one unit explains."""

    recording: str
    """`dataset/sequence`."""
    sample: Sample
    """The frame in its middle; of a whole recording the first."""
    whole: bool
    """The whole recording; otherwise as many frames as a window has."""


@dataclass(frozen=True, slots=True)
class WindowTraces:
    """What there is to see of a stretch of N coded frames."""

    stretch: Stretch
    plugin: ModelPlugin
    frames: NDArray[np.int64]
    """`[N]` vendor frame numbers; numbers that are not coded are left out."""
    time_s: NDArray[np.float64]
    """`[N]` seconds since the beginning of the recording."""
    scores: NDArray[np.float64]
    """`[N,A]`."""
    probability: NDArray[np.float64]
    """`[N,A]`; NaN for margins."""
    truth: NDArray[np.int64]
    """`[N,K]` by the unit's columns: 1, 0 or -1 (not coded)."""
    traces: Mapping[str, NDArray[np.float32]]
    """Name -> `[C,N]`."""
    shown: NDArray[np.int64]
    """`[P]` which of the N frames are nearest to P times that are evenly spread."""
    crops: NDArray[np.uint8]
    """`[P,R,R,3]`, their crops."""
    sound: NDArray[np.float32] | None
    """`[S]`, 16 kHz in [-1, 1), from the first frame to the last; None for a model that does not hear."""
    recorded: NDArray[np.bool_] | None
    """`[S]`, False where there is no sound."""


def stretch_of(run: LoadedRun, name: str, *, training: bool) -> Stretch:
    """Return the stretch around a frame, `dataset/sequence/frame`, or a whole recording, `dataset/sequence`.

    Args:
        run: opened.
        name: the dataset may be left out.
        training: take a unit that was trained on it.

    Raises:
        UsageError: if there is none; names the nearest.
    """
    known = run.index.table["sample_id"] if training else run.predictions["sample_id"]
    recordings = known.str.rpartition("/")[0]
    wanted = {name, *(f"{dataset}/{name}" for dataset in recordings.str.partition("/")[0].unique())}
    inside = known[recordings.isin(wanted)]
    sample = run.sample(name if inside.empty else str(inside.iloc[0]), training=training)
    return Stretch(sample.id.rpartition("/")[0], sample, whole=not inside.empty)


def surest_stretches(run: LoadedRun) -> list[Stretch]:
    """Return the stretches around the surest right and wrong answers, one for each recording."""
    found: dict[str, Stretch] = {}
    for sample, _ in surest(run):
        recording = sample.id.rpartition("/")[0]
        found.setdefault(recording, Stretch(recording, sample, whole=False))
    return list(found.values())


def window_traces(run: LoadedRun, stretch: Stretch) -> WindowTraces:
    """Return what the unit's network says and puts out over a stretch, from all windows that reach into it.

    Raises:
        DataError: if the data or the weights are missing.
        IntegrityError: if the network does not give the scores on record.
        UsageError: if the frame asked for has no crop.
    """
    unit = stretch.sample.unit
    predictor = run.predictor(unit)
    source, positions = _source(run, stretch, predictor.plugin)
    ids = list(source.rows.sample_ids)
    if stretch.sample.id not in ids:
        raise UsageError(f"sample {stretch.sample.id}: the frame cannot be decoded; take another one")
    inside = _inside(ids.index(stretch.sample.id), source, whole=stretch.whole)
    values = _averaged(predictor, source, inside)
    scores = values.pop("scores").T.astype(np.float64)
    _check_scores(run, unit, [ids[row] for row in inside], scores)
    dataset, sequence = source.rows.datasets[0], source.rows.sequences[0]
    frames, times = source.rows.frames[inside], source.rows.time_s[inside]
    shown = _spread(times, min(SHOWN, len(times)))
    heard = None
    if (sounds := sounds_of(predictor.plugin, run.inputs.datasets)) is not None:
        count = max(1, round((times[-1] - times[0]) * RATE))
        heard = sounds[dataset].read(sequence, float(times[0]), count)
    return WindowTraces(
        stretch=stretch,
        plugin=predictor.plugin,
        frames=frames,
        time_s=times,
        scores=scores,
        probability=probabilities(unit, scores),
        truth=run.index.labels(unit.columns)[positions[inside]].astype(np.int64),
        traces=values,
        shown=shown,
        crops=source.crops(inside[shown]),
        sound=None if heard is None else heard[0],
        recorded=None if heard is None else heard[1],
    )


def _source(run: LoadedRun, stretch: Stretch, plugin: ModelPlugin) -> tuple[WindowSource, NDArray[np.int64]]:
    """Return the windows of the recording as its part had them, and the positions of their rows in the index."""
    index, table = run.index, run.index.table
    ids = table["sample_id"]
    known = ids[ids.str.rpartition("/")[0] == stretch.recording]
    if not stretch.sample.training:
        tested = run.predictions.loc[run.predictions["unit_id"] == stretch.sample.unit.unit_id, "sample_id"]
        known = known[known.isin(tested)]
    positions = np.flatnonzero(ids.isin(known).to_numpy())
    crops = crops_of(run.inputs, index, positions, settings=crop_settings(plugin), jobs=1, tell=Progress())
    caches = {name: CropCache(path) for name, path in crops.folders.items()}
    part = part_at(index, positions, key=run.inputs.protocol.key, caches=caches)
    sounds = sounds_of(plugin, run.inputs.datasets)
    source = make_source(part, plugin, kind=index.kind, caches=caches, sounds=sounds)
    assert isinstance(source, WindowSource)  # of a model that answers for each frame
    return source, part.positions


def _inside(row: int, source: WindowSource, *, whole: bool) -> NDArray[np.int64]:
    """Return the rows of the stretch: all, or those within half a window around one, by their numbers."""
    frames = np.asarray(source.rows.frames)
    reach = source.preprocess.frames // 2
    near = np.abs(frames - frames[row]) <= reach
    return np.arange(len(frames)) if whole else np.flatnonzero(near)


def _spread(times: NDArray[np.float64], count: int) -> NDArray[np.int64]:
    """Return the places of the times that are nearest to the middles of equal parts."""
    wanted = times[0] + (np.arange(count) + 0.5) / count * (times[-1] - times[0])
    return np.abs(times[:, None] - wanted).argmin(axis=0)


def _averaged(
    predictor: ModulePredictor, source: WindowSource, inside: NDArray[np.int64]
) -> dict[str, NDArray[np.float32]]:
    """Return name -> `[C,N]` of the rows inside, of the logits (`scores`) and of each trace."""
    rows = source.window_rows
    which = np.flatnonzero(np.isin(rows, inside).any(axis=1))
    place = np.full(len(source.rows), -1)
    place[inside] = np.arange(len(inside))
    sums: dict[str, NDArray[np.float64]] = {}
    views = np.zeros(len(inside))
    for some in np.split(which, range(predictor.block, len(which), predictor.block)):
        found = _put_out(predictor, source, some)
        at = np.where(rows[some] >= 0, place[rows[some]], -1)
        windows, steps = np.nonzero(at >= 0)
        np.add.at(views, at[windows, steps], 1)
        for name, values in found.items():
            total = sums.setdefault(name, np.zeros((len(inside), values.shape[1])))
            np.add.at(total, at[windows, steps], values[windows, :, steps])
    return {name: np.asarray((total / views[:, None]).T, np.float32) for name, total in sums.items()}


def _put_out(
    predictor: ModulePredictor, source: WindowSource, which: NDArray[np.int64]
) -> dict[str, NDArray[np.float32]]:
    """Return name -> `[W,C,T]` of some windows."""
    plugin, fabric = predictor.plugin, predictor.fabric
    batch = source.windows(which, device=fabric.device)
    with torch.inference_mode(), fabric.autocast():
        output = as_output(call(predictor.module, batch, plugin.inputs))
    found = {name: output.aux[name] for name in plugin.traces if name in output.aux}
    found["scores"] = output.logits.transpose(1, 2)
    return {name: value.float().cpu().numpy() for name, value in found.items()}


def _check_scores(run: LoadedRun, unit: UnitRecord, ids: Sequence[str], scores: NDArray[np.float64]) -> None:
    """Refuse to explain a network that is not the one whose answers are on record."""
    table = run.predictions
    own = table[(table["unit_id"] == unit.unit_id) & table["sample_id"].isin(ids)]
    place = {name: number for number, name in enumerate(ids)}
    recorded = own[list(unit.outputs)].to_numpy(np.float64)
    again = scores[[place[name] for name in own["sample_id"]]]
    far = np.abs(again - recorded) > DIFFERENCE * np.maximum(1.0, np.abs(recorded))
    if far.any():
        row, column = np.argwhere(far)[0]
        raise IntegrityError(
            f"{own['sample_id'].iloc[row]}: the opened network gives {again[row, column]:.4f} for "
            f"{unit.outputs[column]}, on record is {recorded[row, column]:.4f}; the plugin {unit.model} or its data "
            "have changed since the run"
        )
