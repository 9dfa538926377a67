"""Takes: what one synthetic person does in front of the camera in one sequence, frame by frame.

A take joins the labels (`labels`), the frames that the size keeps (`sizes`) and the movement (`motion`); the layouts
render it and write it as the vendor would. Everything depends on the seed and on names only, so any subject can be
written by any process.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from auharness.data.synthetic.labels import draw_occurrence, fit_process
from auharness.data.synthetic.motion import activation_curves, distractor_curves, head_pose, named_rng, smooth_noise
from auharness.data.synthetic.published import PublishedCounts
from auharness.data.synthetic.sizes import Size, kept_frames

__all__ = ["Performance", "Stage", "Take", "draw_takes", "perform"]

_MOUTH_OPENINGS = frozenset({25, 26, 27})


@dataclass(frozen=True)
class Take:
    """Labels of one sequence at vendor length and the frames that are kept of it.

    Attributes:
        subject: official subject id.
        task: official task id, or an empty string.
        part: published test part.
        occurrence: bool [vendor frames, au].
        kept: [frame] positions in the vendor-length sequence, ascending.
    """

    subject: str
    task: str
    part: str
    occurrence: NDArray[np.bool_]
    kept: NDArray[np.int64]


@dataclass(frozen=True)
class Stage:
    """What all takes of a dataset share.

    Attributes:
        dataset: dataset name, part of every seed.
        fps: the vendor's frames per second.
        pose_spread: standard deviation of yaw, pitch and roll in degrees.
        distractors: unlabelled AUs and the share of frames that shows them.
    """

    dataset: str
    fps: float
    pose_spread: tuple[float, float, float]
    distractors: tuple[tuple[int, float], ...]


@dataclass(frozen=True)
class Performance:
    """The kept frames of a take, ready to be rendered.

    Attributes:
        occurrence: bool [frame, au] labels.
        intensity: [frame, au] visible intensity of the labelled AUs, 0..1.
        shown: per frame, AU number to visible intensity, distractors included.
        pose: [frame, 3] yaw, pitch and roll in degrees.
        light: [frame] slow drift of brightness, mean 0 and variance 1.
    """

    occurrence: NDArray[np.bool_]
    intensity: NDArray[np.float32]
    shown: list[dict[int, float]]
    pose: NDArray[np.float64]
    light: NDArray[np.float64]


def draw_takes(counts: PublishedCounts, *, size: Size, seed: int) -> dict[str, list[Take]]:
    """Return the takes of every subject, in published order.

    Args:
        counts: published counts that the labels follow.
        size: frames and tasks to keep.
        seed: the stand-in's seed.
    """
    tracks = draw_occurrence(counts, fit_process(counts), rng=named_rng(seed, counts.dataset, "labels"))
    chosen = [index for index, task in enumerate(counts.tasks) if not size.tasks or task in size.tasks]
    kept = kept_frames(
        [tracks[index] for index in chosen], [counts.parts[index] for index in chosen], frames=size.frames
    )
    takes: dict[str, list[Take]] = {}
    for index, positions in zip(chosen, kept, strict=True):
        take = Take(counts.subjects[index], counts.tasks[index], counts.parts[index], tracks[index], positions)
        takes.setdefault(take.subject, []).append(take)
    return takes


def perform(take: Take, stage: Stage, *, aus: tuple[int, ...], seed: int) -> Performance:
    """Return movement, pose and light of a take's kept frames; `aus` names the columns of its labels."""
    frames = len(take.occurrence)
    rng = named_rng(seed, stage.dataset, take.subject, take.task, "performance")
    intensity = activation_curves(take.occurrence, fps=stage.fps, rng=rng)[take.kept]
    extra_aus = [au for au, _ in stage.distractors]
    rates = np.array([rate for _, rate in stage.distractors])
    extras = distractor_curves(rates, frames, fps=stage.fps, rng=rng)[take.kept]
    pose = head_pose(rng, frames, fps=stage.fps, spread=stage.pose_spread)[take.kept]
    light = smooth_noise(rng, frames, channels=1, width=4.0 * stage.fps)[take.kept, 0]
    columns = [*aus, *extra_aus]
    shown = [
        _without_contradictions(dict(zip(columns, row.tolist(), strict=True)), labelled=frozenset(aus))
        for row in np.concatenate([intensity, extras], axis=1)
    ]
    return Performance(take.occurrence[take.kept], intensity, shown, pose, light)


def _without_contradictions(shown: dict[int, float], *, labelled: frozenset[int]) -> dict[int, float]:
    """Close an unlabelled mouth opening as far as the lips are pressed or the chin is raised (AU17, 23, 24)."""
    pressed = max(shown.get(au, 0.0) for au in (17, 23, 24))
    return {
        au: value * max(0.0, 1.0 - 1.5 * pressed) if au in _MOUTH_OPENINGS - labelled else value
        for au, value in shown.items()
    }
