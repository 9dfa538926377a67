"""Maps of samples of a run: frames as the network saw them, its layers spread over them, and its answer."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from auharness.api import Batch, Preprocess
from auharness.errors import IntegrityError, UsageError, near
from auharness.explain.answers import Answer, answer_of
from auharness.explain.grad_cam import Cams, frame_places, grad_cam, on_frames
from auharness.explain.loaded import LoadedRun, Network, Sample

__all__ = ["SampleMaps", "answers_of", "chosen_layers", "chosen_outputs", "sample_maps"]

DIFFERENCE = 0.1
"""Largest difference between the score on record and the one of the opened network, as a share of the score where that
is larger than 1: what another device or half precision may change."""


@dataclass(frozen=True, slots=True)
class SampleMaps:
    """One output of one sample."""

    sample: Sample
    output: str
    answer: Answer
    frames: NDArray[np.float32]
    """`[T,S,S,3]` in [0, 1]."""
    cells: Mapping[str, NDArray[np.float32]]
    """Layer -> `[T',H,W]`, 0 or more, not normalised."""
    maps: Mapping[str, NDArray[np.float32]]
    """Layer -> `[T,S,S]`, the cells spread over the frames, not normalised; NaN on frames that do not reach it."""
    places: Mapping[str, NDArray[np.float64]]
    """Layer -> `[T']`, where its cells lie on the axis of the frames 0 .. T - 1."""
    traces: Mapping[str, NDArray[np.float32]]
    """Name -> `[C,T']`."""
    trace_places: Mapping[str, NDArray[np.float64]]
    """Name -> `[T']`, where the columns lie on that axis."""
    landmarks: NDArray[np.float32] | None
    """`[T,68,2]` in pixels; None where a frame has the mean shape only."""


def chosen_layers(network: Network, asked: Sequence[str]) -> dict[str, torch.nn.Module]:
    """Return the asked layers, or all.

    Raises:
        UsageError: if one is unknown, or the network has none.
    """
    model, layers = network.plugin.name, network.layers
    if not layers:
        raise UsageError(f"{model} has no layer that can be mapped: no 2D or 3D convolution")
    for name in asked:
        if name not in layers:
            raise UsageError(f"{model} has no layer '{name}'{near(name, layers)} (layers: {', '.join(layers)})")
    return {name: layers[name] for name in (asked or layers)}


def chosen_outputs(run: LoadedRun, asked: Sequence[str]) -> list[str]:
    """Return the asked outputs, or those that are scored.

    Raises:
        UsageError: if one is unknown.
    """
    for name in asked:
        if name not in run.outputs:
            known = ", ".join(run.outputs)
            raise UsageError(f"{run.record.model} has no output '{name}'{near(name, run.outputs)} (outputs: {known})")
    return list(asked or run.columns)


def answers_of(run: LoadedRun, network: Network, sample: Sample) -> NDArray[np.float64]:
    """Return the scores `[A]` of a sample: those on record, or of a training sample by the network."""
    if sample.recorded:
        return np.array([sample.recorded[name] for name in sample.unit.outputs])
    batch = run.batch(network.plugin, [sample.id])
    cams = grad_cam(network.module, _inputs(network, batch), layers={}, outputs=torch.zeros(1, dtype=torch.int64))
    return cams.output.logits[0].double().cpu().numpy()


def sample_maps(
    run: LoadedRun,
    network: Network,
    wanted: Sequence[tuple[Sample, str]],
    *,
    layers: Mapping[str, torch.nn.Module],
) -> list[SampleMaps]:
    """Return the maps of some samples of one unit, each for one output, from one pass.

    Args:
        run: gives the data.
        network: of the unit.
        wanted: sample and output.
        layers: from `chosen_layers`.

    Raises:
        IntegrityError: if the network does not give the scores on record.
    """
    batch = run.batch(network.plugin, [sample.id for sample, _ in wanted])
    numbers = torch.tensor([run.outputs.index(output) for _, output in wanted], device=run.device)
    cams = grad_cam(network.module, _inputs(network, batch), layers=layers, outputs=numbers)
    frames = _shown(batch, network.plugin.preprocess)
    found = [
        _one(network, cams, row=row, frames=frames[row], batch=batch, sample=sample, output=output)
        for row, (sample, output) in enumerate(wanted)
    ]
    for item in found:
        _check_score(item)
    return found


def _one(
    network: Network,
    cams: Cams,
    *,
    row: int,
    frames: NDArray[np.float32],
    batch: Batch,
    sample: Sample,
    output: str,
) -> SampleMaps:
    count, size = frames.shape[:2]
    first = network.plugin.cam_first_frame if count > 1 else 0
    one = {name: cells[row : row + 1] for name, cells in cams.cells.items()}
    scores = cams.output.logits[row].double().cpu().numpy()
    traces = {name: cams.output.aux[name][row] for name in network.plugin.traces if name in cams.output.aux}
    marks, valid = batch["landmarks"][row], batch["landmarks_valid"][row]
    return SampleMaps(
        sample=sample,
        output=output,
        answer=answer_of(sample, output, scores),
        frames=frames,
        cells={name: cells[0].cpu().numpy() for name, cells in one.items()},
        maps={
            name: on_frames(cells, frames=count, size=size, first=first)[0].cpu().numpy() for name, cells in one.items()
        },
        places={name: frame_places(cells.shape[1], count, first) for name, cells in one.items()},
        traces={name: value.float().cpu().numpy() for name, value in traces.items()},
        trace_places={name: frame_places(value.shape[-1], count, first) for name, value in traces.items()},
        landmarks=marks.float().view(-1, 68, 2).cpu().numpy() if bool(valid.all()) else None,
    )


def _inputs(network: Network, batch: Batch) -> list[torch.Tensor]:
    return [batch[name] for name in network.plugin.inputs]


def _shown(batch: Batch, preprocess: Preprocess) -> NDArray[np.float32]:
    """Return the frames as colours, `[B,T,S,S,3]` in [0, 1]."""
    pixels = batch["clip"] if "clip" in batch else batch["image"][:, None]
    channels = pixels.shape[2]
    mean, std = (
        torch.tensor(x[:channels], device=pixels.device).view(-1, 1, 1) for x in (preprocess.mean, preprocess.std)
    )
    shown = (pixels * std + mean).clamp(0, 1).expand(-1, -1, 3, -1, -1)
    return np.asarray(shown.movedim(2, -1).float().cpu().numpy())


def _check_score(item: SampleMaps) -> None:
    """Refuse to explain a network that is not the one whose answer is on record."""
    recorded = item.sample.recorded.get(item.output)
    if recorded is None:
        return
    difference = abs(item.answer.score - recorded)
    if not difference <= DIFFERENCE * max(1.0, abs(recorded)):
        raise IntegrityError(
            f"{item.sample.id}: the opened network gives {item.answer.score:.4f} for {item.output}, on record is "
            f"{recorded:.4f}; the plugin {item.sample.unit.model} or its data have changed since the run"
        )
