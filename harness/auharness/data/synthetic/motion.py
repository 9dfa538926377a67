"""How a face moves through a sequence: activation curves, unlabelled movement, head pose and light.

All curves are drawn for the whole vendor-length sequence at its frame rate; smaller stand-ins keep some frames of it.
So a frame of a small stand-in looks like one of the full stand-in, and activation lengths stay in proportion.
"""

import zlib

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter1d
from scipy.special import ndtri

__all__ = [
    "PRESENT_FROM",
    "activation_curves",
    "distractor_curves",
    "head_pose",
    "named_rng",
    "named_seed",
    "smooth_noise",
]

PRESENT_FROM = 0.3
"""Lowest visible intensity of a present AU, 0..1; absent AUs stay below 0.25."""

_ABSENT_BELOW = 0.24
_RAMP_SECONDS = 0.4  # typical onset and offset; shorter activations ramp for a third of their length


def named_seed(seed: int, *names: str) -> int:
    """Return a 32-bit seed that depends on the run's seed and on the names alone, never on the order of the calls.

    >>> named_seed(0, "bp4d", "F001") == named_seed(0, "bp4d", "F001") != named_seed(1, "bp4d", "F001")
    True
    """
    keys = [zlib.crc32(name.encode()) for name in names]
    return int(np.random.SeedSequence([seed, *keys]).generate_state(1)[0])


def named_rng(seed: int, *names: str) -> np.random.Generator:
    """Return a generator seeded by `named_seed`."""
    return np.random.default_rng(named_seed(seed, *names))


def smooth_noise(rng: np.random.Generator, frames: int, *, channels: int, width: float) -> NDArray[np.float64]:
    """Return Gaussian curves [frames, channels] with mean 0, variance 1 and a smoothing kernel of `width` frames."""
    margin = int(4 * width) + 1
    white = rng.standard_normal((frames + 2 * margin, channels))
    curves = gaussian_filter1d(white, width, axis=0, mode="constant")[margin : margin + frames]
    # the L2 norm of the kernel is the standard deviation that it leaves
    return np.asarray(curves * np.sqrt(2 * np.sqrt(np.pi) * width))


def activation_curves(
    occurrence: NDArray[np.bool_], *, fps: float, rng: np.random.Generator, restlessness: float = 0.09
) -> NDArray[np.float32]:
    """Return the visible intensity [frames, au], 0..1, that goes with the labels.

    Present frames follow onset, apex and offset with a strength per activation and lie in 0.3..1. Absent frames lie in
    0..0.24: slow movement that no coder would mark, and the first and last traces of an activation.

    Args:
        occurrence: [frames, au] labels.
        fps: frames per second.
        rng: source of strengths and movement.
        restlessness: scale of the movement in absent frames.
    """
    frames, num_aus = occurrence.shape
    drift = smooth_noise(rng, frames, channels=num_aus, width=0.6 * fps)
    curves = np.clip(restlessness * drift, 0, _ABSENT_BELOW)
    ramp = _RAMP_SECONDS * fps
    for au in range(num_aus):
        for start, stop in _runs(occurrence[:, au]):
            _add_activation(curves[:, au], start=start, stop=stop, ramp=ramp, strength=rng.beta(2.0, 1.6))
    tremor = rng.normal(0.0, 0.015, curves.shape)
    low, high = np.where(occurrence, PRESENT_FROM, 0.0), np.where(occurrence, 1.0, _ABSENT_BELOW)
    return np.clip(curves + tremor, low, high).astype(np.float32)


def distractor_curves(
    rates: NDArray[np.float64], frames: int, *, fps: float, rng: np.random.Generator
) -> NDArray[np.float32]:
    """Return visible intensities [frames, au], 0..1, of AUs that nobody labels; `rates` [au] is how often they show."""
    latent = smooth_noise(rng, frames, channels=len(rates), width=0.8 * fps)
    # the threshold moves with the sequence: some people never show an AU, others often
    latent = 0.7 * latent + 0.71 * rng.standard_normal(len(rates))
    occurrence = latent > -ndtri(rates)
    return activation_curves(occurrence, fps=fps, rng=rng)


def head_pose(
    rng: np.random.Generator, frames: int, *, fps: float, spread: tuple[float, float, float]
) -> NDArray[np.float64]:
    """Return yaw, pitch and roll [frames, 3] in degrees: a resting pose, slow movement and a tremor in every frame.

    Args:
        rng: source of randomness.
        frames: number of frames.
        fps: frames per second.
        spread: standard deviation of yaw, pitch and roll over frames and sequences, in degrees.
    """
    resting = 0.6 * rng.standard_normal(3)
    slow = 0.75 * smooth_noise(rng, frames, channels=3, width=1.5 * fps)
    tremor = 0.28 * rng.standard_normal((frames, 3))
    return np.clip(resting + slow + tremor, -2.5, 2.5) * np.asarray(spread)


def _runs(column: NDArray[np.bool_]) -> list[tuple[int, int]]:
    """Return (first frame, frame after the last) of every activation."""
    edges = np.flatnonzero(np.diff(np.concatenate([[False], column, [False]]).astype(np.int8)))
    return list(zip(edges[::2].tolist(), edges[1::2].tolist(), strict=True))


def _add_activation(curve: NDArray[np.float64], *, start: int, stop: int, ramp: float, strength: float) -> None:
    """Write one activation into `curve` in place, with its traces before and after."""
    ramp = max(1.0, min(ramp, (stop - start) / 3))
    reach = int(np.ceil(ramp))
    first, last = max(0, start - reach), min(len(curve), stop + reach)
    frame = np.arange(first, last)
    # an activation that touches the border of the sequence began before it or ends after it
    onset = np.ones(len(frame)) if start == 0 else _smooth_step((frame - start + ramp) / (2 * ramp))
    offset = np.ones(len(frame)) if stop == len(curve) else _smooth_step((stop - 1 - frame + ramp) / (2 * ramp))
    apex = PRESENT_FROM + 0.1 + (0.9 - PRESENT_FROM) * strength
    curve[first:last] = np.maximum(curve[first:last], apex * onset * offset)


def _smooth_step(x: NDArray[np.floating]) -> NDArray[np.float64]:
    x = np.clip(x, 0.0, 1.0)
    return np.asarray(x * x * (3 - 2 * x), dtype=np.float64)
