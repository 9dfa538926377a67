"""Speed of scoring: counts, F1, AUROC and intervals at the size of BP4D, beside scikit-learn and scipy.

`README.md` says how to run it. Peers compute the same number on the same arrays in the same process; where they do not,
the benchmark fails.
"""

from functools import partial
from typing import Any

import numpy as np
import pytest
from scipy import stats
from sklearn.metrics import f1_score, roc_auc_score

from auharness.metrics import METRICS, FoldCounts, binary_counts, f1, grouped_counts
from auharness.statistics import bootstrap_interval

FRAMES, AUS, SUBJECTS = 150_000, 12, 41
DRAWS = 10_000


@pytest.fixture(scope="module")
def frames() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Targets and scores `[n, A]` and the subject of each frame."""
    random = np.random.default_rng(7)
    target = (random.random((FRAMES, AUS)) < 0.3).astype(np.int8)
    score = random.normal(size=target.shape) + target
    subject = np.sort(random.integers(0, SUBJECTS, FRAMES))
    return target, score, np.array([f"F{number:03}" for number in subject])


@pytest.mark.benchmark(group="F1 of 150,000 frames x 12 AUs")
@pytest.mark.parametrize("who", ["auharness", "sklearn"])
def test_f1(benchmark: Any, frames: tuple[np.ndarray, ...], who: str) -> None:
    target, said = frames[0], frames[1] > 0.5
    theirs = partial(f1_score, target, said, average=None)
    job = (lambda: f1(binary_counts(target, said))) if who == "auharness" else theirs
    np.testing.assert_allclose(benchmark(job), theirs())


@pytest.mark.benchmark(group="AUROC of 150,000 frames x 12 AUs")
@pytest.mark.parametrize("who", ["auharness", "sklearn"])
def test_auroc(benchmark: Any, frames: tuple[np.ndarray, ...], who: str) -> None:
    target, score, _ = frames
    theirs = partial(roc_auc_score, target, score, average=None)
    jobs = {"auharness": partial(METRICS["auroc"].compute, target, score), "sklearn": theirs}
    found = benchmark.pedantic(jobs[who], rounds=5, warmup_rounds=1)
    np.testing.assert_allclose(found, theirs())


@pytest.mark.benchmark(group="counts by subject of 150,000 frames x 12 AUs")
def test_grouped_counts(benchmark: Any, frames: tuple[np.ndarray, ...]) -> None:
    target, score, subject = frames
    assert len(benchmark(grouped_counts, target, score > 0.5, subject)[0]) == SUBJECTS


@pytest.mark.benchmark(group="interval of F1 over 41 subjects, 10,000 draws")
@pytest.mark.parametrize("who", ["auharness", "scipy"])
def test_percentile_interval(benchmark: Any, frames: tuple[np.ndarray, ...], who: str) -> None:
    """The plain percentile interval, which scipy has too; the harness's own is studentised, see below."""
    folds, counts = pooled(frames), pooled(frames)[0].counts

    def mean_f1(subjects: np.ndarray, axis: int) -> np.ndarray:
        # scipy's resamples are [..., 41] numbers of subjects, and their counts [..., 41, A, 4]
        return np.asarray(f1(counts[subjects].sum(axis=axis - 2)).mean(axis=-1))

    def theirs() -> tuple[float, float]:
        options: dict[str, Any] = {"n_resamples": DRAWS, "batch": 500, "method": "percentile", "vectorized": True}
        found = stats.bootstrap((np.arange(SUBJECTS),), mean_f1, **options, rng=np.random.default_rng(0))
        return found.confidence_interval.low, found.confidence_interval.high

    def ours() -> tuple[float, float]:
        found = bootstrap_interval(folds, METRICS["f1"], how="pooled", method="percentile", draws=DRAWS)
        assert found is not None
        return found.low, found.high

    job = ours if who == "auharness" else theirs
    found = benchmark.pedantic(job, rounds=5, warmup_rounds=1)
    np.testing.assert_allclose(found, ours(), atol=1e-3)


@pytest.mark.benchmark(group="score 150,000 frames x 12 AUs, 10,000 draws")
@pytest.mark.parametrize("how", ["fold-mean", "pooled", "subject-mean"])
def test_score(benchmark: Any, frames: tuple[np.ndarray, ...], how: Any) -> None:
    """Counts and the studentised interval of a headline, from predictions."""

    def score() -> object:
        return bootstrap_interval(pooled(frames, parts=3), METRICS["f1"], how=how, draws=DRAWS)

    assert benchmark.pedantic(score, rounds=5, warmup_rounds=1)


def pooled(frames: tuple[np.ndarray, ...], parts: int = 1) -> list[FoldCounts]:
    target, score, subject = frames
    names, counts = grouped_counts(target, score > 0.5, subject)
    return [FoldCounts(f"P{part}", names[part::parts], counts[part::parts]) for part in range(parts)]
