import numpy as np
import pytest

from auharness.data.synthetic.labels import LabelProcess, count_runs, draw_occurrence, fit_process
from auharness.data.synthetic.published import PublishedCounts, sequence_counts

SEEDS = range(4)


@pytest.fixture(scope="module", params=["bp4d", "disfa"])
def counts(request: pytest.FixtureRequest) -> PublishedCounts:
    return sequence_counts(request.param)


@pytest.fixture(scope="module")
def process(counts: PublishedCounts) -> LabelProcess:
    return fit_process(counts)


@pytest.fixture(scope="module")
def draws(counts: PublishedCounts, process: LabelProcess) -> list[list[np.ndarray]]:
    return [draw_occurrence(counts, process, rng=np.random.default_rng(seed)) for seed in SEEDS]


def test_published_counts_are_consistent(counts: PublishedCounts) -> None:
    np.testing.assert_array_equal(counts.positives.sum(axis=0), np.diag(counts.together))
    assert (
        counts.frames.sum() == {"bp4d": 146_847, "disfa": 130_814}[counts.dataset]
    )  # published totals of coded frames
    assert len(counts.frames) == {"bp4d": 328, "disfa": 27}[counts.dataset]


def test_every_sequence_has_exactly_its_published_frames_and_positives(
    counts: PublishedCounts, draws: list[list[np.ndarray]]
) -> None:
    for tracks in draws:
        assert [len(track) for track in tracks] == counts.frames.tolist()
        np.testing.assert_array_equal([track.sum(axis=0) for track in tracks], counts.positives)


def test_frames_with_two_aus_follow_the_published_ones(counts: PublishedCounts, draws: list[list[np.ndarray]]) -> None:
    scale = np.sqrt(np.outer(np.diag(counts.together), np.diag(counts.together)))
    together = [sum(track.astype(int).T @ track for track in tracks) for tracks in draws]
    error = np.abs(np.mean(together, axis=0) - counts.together) / scale
    assert error.max() < {"bp4d": 0.02, "disfa": 0.08}[counts.dataset]
    # independent AUs with the same rates per sequence miss by 0.20 and 0.51
    independent = np.einsum("sa,sb,s->ab", counts.rates, counts.rates, counts.frames)
    missed = np.abs(independent - counts.together) / scale
    assert missed[~np.eye(len(scale), dtype=bool)].max() > 0.19


def test_correlation_between_aus_follows_the_published_counts(
    counts: PublishedCounts, draws: list[list[np.ndarray]]
) -> None:
    total = counts.frames.sum()
    rates = np.diag(counts.together) / total
    spread = np.sqrt(np.outer(rates * (1 - rates), rates * (1 - rates)))
    published = (counts.together / total - np.outer(rates, rates)) / spread
    drawn = np.mean([np.corrcoef(np.concatenate(tracks).T) for tracks in draws], axis=0)
    off_diagonal = ~np.eye(len(rates), dtype=bool)
    assert np.corrcoef(published[off_diagonal], drawn[off_diagonal])[0, 1] > 0.99
    assert np.abs(published - drawn).max() < {"bp4d": 0.03, "disfa": 0.08}[counts.dataset]


def test_activations_last_as_long_as_published(counts: PublishedCounts, draws: list[list[np.ndarray]]) -> None:
    runs = np.mean([np.sum([count_runs(track) for track in tracks], axis=0) for tracks in draws], axis=0)
    length, published = np.diag(counts.together) / runs, np.diag(counts.together) / counts.runs
    np.testing.assert_allclose(length, published, rtol={"bp4d": 0.06, "disfa": 0.10}[counts.dataset])


def test_another_seed_moves_the_activations(draws: list[list[np.ndarray]]) -> None:
    assert not np.array_equal(np.concatenate(draws[0]), np.concatenate(draws[1]))
