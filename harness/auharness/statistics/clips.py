"""Intervals and tests of UAR and WAR from single clips, where nothing is known about who or what film they come from.

Clips of one film or actor are alike, so an interval that treats them as independent is too short. It is offered with
the clusters marked unknown, for data sets that publish neither.

Thousands of clips need no thousands of columns: a clip is its true class and what each model said of it, so equal clips
are drawn together. Of n clips of a class, drawing n with replacement is one multinomial draw over the distinct answers,
and exchanging two models on m equal clips with probability 1/2 each is one binomial draw of m.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from auharness.errors import UsageError
from auharness.metrics.aggregate import Aggregation, FoldCounts
from auharness.metrics.defined import mean_defined
from auharness.metrics.metric import Metric
from auharness.statistics.bootstrap import DRAWS, LEVEL, Interval

__all__ = ["CLIP_METHOD", "RECALL_MEANS", "clip_difference", "clip_interval", "clip_swap_test", "resamples_clips"]

CLIP_METHOD = (
    "percentile over clips within folds and classes; source clusters (films) are unknown, so the interval is too narrow"
)

RECALL_MEANS = ("uar", "war")
"""Metrics that depend on the clips of each class and on how many of them are named right, on nothing else."""


@dataclass(frozen=True)
class _Answers:
    """The clips of one true class in one fold: the distinct joint answers of the models, and how many clips gave each.

    Attributes:
        rows: `[P, M, C]`, how often each of `M` models named each class, summed over its seeds.
        clips: `[P]`, clips with that answer.
    """

    rows: NDArray[np.float64]
    clips: NDArray[np.int64]


def resamples_clips(metric: Metric, cluster: str) -> bool:
    """Return whether a protocol's intervals and tests are those of this module.

    Args:
        metric: the headline.
        cluster: sampling unit of the protocol; `clip` and `unknown` say that no larger one is known.
    """
    return metric.needs == "confusion" and cluster in ("clip", "unknown")


def clip_interval(
    folds: Sequence[FoldCounts],
    metric: Metric,
    *,
    how: Aggregation,
    level: float = LEVEL,
    draws: int = DRAWS,
    seed: int = 0,
) -> Interval:
    """Return the percentile interval from clips resampled within each fold and true class.

    The number of clips of a class is the same in every draw. UAR and WAR are linear in the answers, so the percentile
    interval is not shifted. Answers of several seeds to one clip stay together. For UAR and WAR an answer is right or
    wrong, so the interval is the same whether the wrong ones are known or not.

    Args:
        folds: confusion matrices `[S, C, C]`, one cluster per clip.
        metric: a metric of confusion matrices.
        how: `fold-mean` or `pooled`.
        level: nominal coverage.
        draws: number of resamples.
        seed: of the resamples.

    Returns:
        An interval with `n_clusters` None: unknown.

    Raises:
        UsageError: no fold, another kind of metric, `subject-mean`, or a cluster with clips of several classes.
    """
    _check([folds], metric, how)
    if metric.name in RECALL_MEANS:
        folds = [_right_or_wrong(fold) for fold in folds]
    scores = _scores(_resampled([folds], draws=draws, seed=seed)[0], metric, how)
    return _interval(scores, level=level, draws=draws)


def clip_difference(
    first: Sequence[FoldCounts],
    second: Sequence[FoldCounts],
    metric: Metric,
    *,
    how: Aggregation,
    level: float = LEVEL,
    draws: int = DRAWS,
    seed: int = 0,
) -> Interval:
    """Return the percentile interval of the first headline minus the second; each draw takes the same clips for both.

    Args:
        first: confusion matrices `[S, C, C]` of the first model, one cluster per clip.
        second: those of the second model, same folds and clips in the same order.
        metric: a metric of confusion matrices.
        how: `fold-mean` or `pooled`.
        level: nominal coverage.
        draws: number of resamples.
        seed: of the resamples.

    Raises:
        UsageError: as `clip_interval`, or the clips differ.
    """
    _check([first, second], metric, how)
    one, two = _resampled([first, second], draws=draws, seed=seed)
    return _interval(_scores(one, metric, how) - _scores(two, metric, how), level=level, draws=draws)


def clip_swap_test(
    first: Sequence[FoldCounts],
    second: Sequence[FoldCounts],
    metric: Metric,
    *,
    how: Aggregation,
    draws: int = DRAWS,
    seed: int = 0,
) -> tuple[float, int]:
    """Return the two-sided p-value of the paired permutation test over clips, and the number of exchanges.

    As `swap_test` with clips in the place of subjects; exchanges are always random, the observed one is counted. It
    takes clips of one film as independent, so the p-value is too small by an unknown amount.

    Args:
        first: confusion matrices `[S, C, C]` of the first model, one cluster per clip.
        second: those of the second model, same folds and clips in the same order.
        metric: a metric of confusion matrices.
        how: `fold-mean` or `pooled`.
        draws: number of exchanges.
        seed: of these.

    Raises:
        UsageError: as `clip_difference`.
    """
    _check([first, second], metric, how)
    generator = np.random.default_rng(seed)
    one, two = [], []
    for fold in zip(first, second, strict=True):
        kept, swapped = np.zeros((2, draws + 1, *fold[0].counts.shape[1:]))
        for true, answers in _by_class(fold):
            moved = generator.binomial(answers.clips, 0.5, size=(draws + 1, len(answers.clips)))
            moved[0] = 0  # row 0 exchanges nothing, so the observed difference is among them
            a, b = answers.rows[:, 0], answers.rows[:, 1]
            moved = moved.astype(np.float64)
            stay = answers.clips - moved
            kept[:, true], swapped[:, true] = stay @ a + moved @ b, stay @ b + moved @ a
        one.append(kept)
        two.append(swapped)
    differences = _scores(one, metric, how) - _scores(two, metric, how)
    reached = int((np.abs(differences) >= abs(differences[0]) - 1e-12).sum())
    return reached / (draws + 1), draws


def _check(models: Sequence[Sequence[FoldCounts]], metric: Metric, how: Aggregation) -> None:
    folds = models[0]
    if not folds or metric.needs != "confusion" or how == "subject-mean":
        raise UsageError(f"clips: {metric.name} as {how} of {len(folds)} folds; expected UAR or WAR over folds")
    for other in models[1:]:
        if [(fold.name, fold.clusters) for fold in folds] != [(fold.name, fold.clusters) for fold in other]:
            raise UsageError("clips: the two models do not answer the same clips in the same order")


def _right_or_wrong(fold: FoldCounts) -> FoldCounts:
    """Return the fold with every wrong answer in the place of the next class."""
    classes = np.arange(fold.counts.shape[-1])
    right = fold.counts.diagonal(axis1=-2, axis2=-1)
    counts = np.zeros_like(fold.counts)
    counts[:, classes, (classes + 1) % len(classes)] = fold.counts.sum(axis=-1) - right
    counts[:, classes, classes] += right
    return FoldCounts(fold.name, fold.clusters, counts)


def _resampled(models: Sequence[Sequence[FoldCounts]], *, draws: int, seed: int) -> list[list[NDArray[np.float64]]]:
    """Return model -> fold -> `[draws, C, C]`; the models share the clips of each draw."""
    generator = np.random.default_rng(seed)
    found: list[list[NDArray[np.float64]]] = [[] for _ in models]
    for fold in zip(*models, strict=True):
        drawn = np.zeros((len(models), draws, *fold[0].counts.shape[1:]))
        for true, answers in _by_class(fold):
            size = int(answers.clips.sum())
            times = generator.multinomial(size, answers.clips / size, size=draws)
            summed = times.astype(np.float64) @ answers.rows.reshape(len(times.T), -1)
            drawn[:, :, true] = summed.reshape(draws, len(models), -1).swapaxes(0, 1)
        for model, confusion in zip(found, drawn, strict=True):
            model.append(confusion)
    return found


def _by_class(fold: Sequence[FoldCounts]) -> list[tuple[int, _Answers]]:
    """Return true class -> answers for one fold of one or more models."""
    sizes = fold[0].counts.sum(axis=-1)
    if ((sizes > 0).sum(axis=-1) > 1).any() or any((one.counts.sum(axis=-1) != sizes).any() for one in fold[1:]):
        raise UsageError(
            f"clips: fold {fold[0].name} has a cluster with samples of several classes, or the models differ in them; "
            "expected one clip in each"
        )
    truth = sizes.argmax(axis=-1)
    rows = np.stack([one.counts.sum(axis=-2) for one in fold], axis=1)
    found = []
    for true in range(sizes.shape[-1]):
        inside = (truth == true) & (sizes[:, true] > 0)
        if inside.any():
            own = rows[inside]
            distinct, clips = np.unique(own.reshape(len(own), -1), axis=0, return_counts=True)
            found.append((true, _Answers(distinct.reshape(-1, *own.shape[1:]).astype(np.float64), clips)))
    return found


def _scores(confusions: Sequence[NDArray[np.float64]], metric: Metric, how: Aggregation) -> NDArray[np.float64]:
    """Return the headline of each draw, `[D]`, from one `[D, C, C]` per fold."""
    if how == "pooled":
        return mean_defined(metric.by_label(np.sum(confusions, axis=0)))[0]
    values = [mean_defined(metric.by_label(confusion))[0] for confusion in confusions]
    return mean_defined(np.stack(values), axis=0)[0]


def _interval(scores: NDArray[np.float64], *, level: float, draws: int) -> Interval:
    low, high = np.quantile(scores, ((1 - level) / 2, (1 + level) / 2))
    return Interval(
        low=float(low),
        high=float(high),
        level=level,
        method=CLIP_METHOD,
        n_clusters=None,
        draws=draws,
        standard_error=float(scores.std(ddof=1)),
    )
