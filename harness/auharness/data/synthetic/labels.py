"""Binary AU tracks whose rates, co-occurrence and activation lengths follow the published counts.

Every sequence gets one latent curve per AU: white noise, correlated between AUs, smoothed in time by a Gaussian
kernel. The AU is present in the frames with the highest latent values, exactly as many as were published for that
sequence, so **rates are exact**. Two things remain to be fitted, both from the counts alone:

- **correlation** of the latent curves, AU pair by AU pair: the value at which the bivariate normal distribution,
  thresholded at the published rates of each sequence and summed over sequences, gives the published number of frames
  with both AUs; then the nearest positive definite matrix (the pairwise solutions need not fit into one matrix).
- **kernel width** per AU: Rice's formula for the level crossings of a smooth Gaussian process gives a first value; a
  few simulated passes remove what is left, because exact counts on short sequences add crossings.

Measured over six seeds: mean activation lengths within 3 % of the published ones; frames with both AUs within 0.01
(BP4D) and 0.05 (DISFA, 27 sequences only) of the published ones, as a share of the geometric mean of the two AUs'
positives. Independent AUs with the same rates per sequence would miss by up to 0.20 and 0.51.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter1d
from scipy.special import ndtri

from auharness.data.synthetic.published import PublishedCounts

__all__ = ["LabelProcess", "count_runs", "draw_occurrence", "fit_process"]

_KERNEL_RADIUS = 4  # in kernel widths; more changes nothing that can be seen
_FIT_PASSES = 4
_KNOT_FRAMES = 3  # the curves are so smooth (kernels of 10 frames and more) that every third frame says it all


@dataclass(frozen=True)
class LabelProcess:
    """What is fitted to the counts: see the module docstring.

    Attributes:
        widths: [au] standard deviation of the smoothing kernel in frames.
        noise_factor: [au, au] Cholesky factor of the correlation of the white noise.
    """

    widths: NDArray[np.float64]
    noise_factor: NDArray[np.float64]


def fit_process(counts: PublishedCounts) -> LabelProcess:
    """Return the process that gives the published pairs and activation lengths; deterministic, below one second."""
    widths = _fit_widths(counts)
    correlation = _latent_correlation(counts)
    # smoothing with two different widths weakens the correlation that the noise had
    kept = np.sqrt(2 * np.outer(widths, widths) / np.add.outer(widths**2, widths**2))
    noise = _nearest_correlation(np.clip(correlation / kept, -0.999, 0.999))
    return LabelProcess(widths=widths, noise_factor=np.linalg.cholesky(noise).astype(np.float64))


def draw_occurrence(
    counts: PublishedCounts, process: LabelProcess, *, rng: np.random.Generator
) -> list[NDArray[np.bool_]]:
    """Return one bool array [frames, au] per published sequence, with exactly the published number of positives."""
    margin = int(_KERNEL_RADIUS * process.widths.max()) + 1
    starts = np.cumsum(np.concatenate([[0], counts.frames[:-1] + 2 * margin])) + margin
    latent = _latent_curves(process, int(counts.frames.sum()) + 2 * margin * len(counts.frames), rng)
    return [
        _highest(latent[start : start + frames], positives)
        for start, frames, positives in zip(starts, counts.frames, counts.positives, strict=True)
    ]


def count_runs(occurrence: NDArray[np.bool_]) -> NDArray[np.int64]:
    """Return the number of uninterrupted activations per column of [frames, au].

    >>> count_runs(np.array([[1, 0], [1, 1], [0, 0], [1, 1]], dtype=bool)).tolist()
    [2, 2]
    """
    rises: NDArray[np.int64] = (occurrence[1:] & ~occurrence[:-1]).sum(axis=0) + occurrence[0]
    return rises


def _latent_curves(process: LabelProcess, length: int, rng: np.random.Generator) -> NDArray[np.float32]:
    """Return smooth correlated Gaussian curves [length, au]; their scale is of no meaning."""
    knots = length // _KNOT_FRAMES + 2
    noise = rng.standard_normal((len(process.widths), knots), dtype=np.float32)
    noise = process.noise_factor.astype(np.float32) @ noise
    smooth = np.stack(
        [
            gaussian_filter1d(row, width / _KNOT_FRAMES, mode="constant", truncate=_KERNEL_RADIUS)
            for row, width in zip(noise, process.widths, strict=True)
        ],
        axis=1,
    )
    between = np.arange(_KNOT_FRAMES, dtype=np.float32)[:, None] / _KNOT_FRAMES
    curves = smooth[:-1, None] * (1 - between) + smooth[1:, None] * between
    return np.asarray(curves.reshape(-1, len(process.widths))[:length], np.float32)


def _highest(latent: NDArray[np.float32], positives: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Mark the `positives[au]` frames with the highest latent value in each column."""
    ranks = np.empty(latent.shape, dtype=np.int64)
    order = np.argsort(-latent, axis=0)
    np.put_along_axis(ranks, order, np.broadcast_to(np.arange(len(latent))[:, None], latent.shape), axis=0)
    return ranks < positives


def _fit_widths(counts: PublishedCounts) -> NDArray[np.float64]:
    """Kernel widths in frames: Rice's formula, then simulated passes that compare with the published runs."""
    rates = counts.rates
    partial = (rates > 0) & (rates < 1)
    level = -ndtri(np.clip(rates, 1e-9, 1 - 1e-9))
    # expected activations = those present in the first frame + up-crossings; a Gaussian kernel of width w crosses zero
    # upwards 1 / (2 pi sqrt(2) w) times a frame
    crossings = (counts.frames[:, None] * np.exp(-(level**2) / 2) * partial).sum(axis=0)
    widths = crossings / (2 * np.pi * np.sqrt(2) * (counts.runs - rates.sum(axis=0)).clip(min=1))
    floor = (counts.positives > 0).sum(axis=0)  # every sequence with a positive has at least one activation
    independent = np.eye(len(widths))
    for step in range(_FIT_PASSES):
        tracks = draw_occurrence(counts, LabelProcess(widths, independent), rng=np.random.default_rng(step))
        runs = np.sum([count_runs(track) for track in tracks], axis=0)
        # shrinking steps: each pass sees one random draw, and the last ones average over several
        ratio = (runs - floor).clip(min=1) / (counts.runs - floor).clip(min=1)
        widths = widths * ratio.clip(0.5, 2) ** (1 / (step + 1))
    return widths


def _latent_correlation(counts: PublishedCounts) -> NDArray[np.float64]:
    """Correlation per AU pair at which the thresholded bivariate normal gives the published frames with both AUs.

    Uses d/dr P(X>h, Y>k; r) = phi2(h, k; r) with r = sin(t), which keeps the integrand smooth up to r = 1.
    """
    rates, frames = counts.rates, counts.frames[:, None].astype(np.float64)
    level = -ndtri(np.clip(rates, 1e-9, 1 - 1e-9))
    angle = np.linspace(-np.pi / 2, np.pi / 2, 161)[1:-1]
    expected = np.einsum("sa,sb,s->ab", rates, rates, counts.frames)
    correlation = np.eye(len(counts.aus))
    for first, second in zip(*np.triu_indices(len(counts.aus), 1), strict=True):
        free = ((rates[:, [first, second]] > 0) & (rates[:, [first, second]] < 1)).all(axis=1)
        if not free.any():
            continue
        h, k = level[free, first, None], level[free, second, None]
        exponent = -(h**2 + k**2 - 2 * h * k * np.sin(angle)) / (2 * np.cos(angle) ** 2)
        slope = (frames[free] * np.exp(exponent)).sum(axis=0) / (2 * np.pi)
        integral = np.concatenate([[0.0], np.cumsum((slope[1:] + slope[:-1]) / 2 * np.diff(angle))])
        integral -= integral[len(angle) // 2]  # independence adds nothing
        gain = counts.together[first, second] - expected[first, second]
        correlation[first, second] = correlation[second, first] = np.sin(np.interp(gain, integral, angle))
    return correlation


def _nearest_correlation(matrix: NDArray[np.float64]) -> NDArray[np.float64]:
    """Alternate between positive definite matrices and matrices with a unit diagonal until both hold."""
    for _ in range(50):
        values, vectors = np.linalg.eigh(matrix)
        if values[0] > 1e-6:
            break
        matrix = (vectors * values.clip(min=1e-4)) @ vectors.T
        np.fill_diagonal(matrix, 1.0)
    values, vectors = np.linalg.eigh(matrix)
    matrix = (vectors * values.clip(min=1e-6)) @ vectors.T
    scale = np.sqrt(np.diag(matrix))
    return matrix / np.outer(scale, scale)
