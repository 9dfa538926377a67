"""Coverage of the intervals and type-I error of the test, by simulation on the published counts.

The population. Each part (P1, P2, P3) stands for an endless crowd of people like those in it: a simulated subject takes
the frames and positives per AU of a random subject of the part (published counts), and draws its own true and false
positive rate per AU from Beta distributions, correlated between AUs by a Gaussian copula. The rates differ by person,
so frames of one person are far from independent.

The true value. The headline that a test set with endlessly many subjects per part would give: within each part F1 of
the expected counts per AU, mean over AUs, mean over parts. Rates and positives are drawn independently, so expected
counts are products of means and the value has a closed form. The mean headline of small test sets lies below it (F1 is
concave in the counts): by 0.3 standard errors at 41 subjects, 0.5 at 27.

The fast tests assert the accepted ranges on moderate heterogeneity; the nightly ones vary it, the aggregation and the
method. The measured values are printed at the end of the run; those of `auharness/statistics/README.md` come from

    python -m pytest tests/harness/statistics/test_coverage.py -m nightly
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import pytest
from scipy.stats import beta, norm

from auharness.metrics import AGGREGATIONS, METRICS, Aggregation, FoldCounts, f1, mean_defined
from auharness.statistics import bootstrap_interval, compare, swap_test
from auharness.statistics.bootstrap import Method

Published = Callable[[str], list[FoldCounts]]
Record = Callable[[str, object], None]

# accepted coverage of the nominal 95 % interval, and type-I error of the nominal 5 % test
COVERAGE = {"bp4d": (0.92, 0.97), "disfa": (0.90, 0.97)}
TYPE_ONE = (0.03, 0.07)


@dataclass(frozen=True)
class Heterogeneity:
    """How models and people differ.

    Attributes:
        recall: mean true positive rate.
        false_alarms: mean false positive rate as a share of the odds of the AU, so rare AUs keep their precision.
        recall_size: a + b of the Beta of the true positive rate; 8 gives a standard deviation of 0.14 at 0.75.
        false_size: a + b of the Beta of the false positive rate.
        between_aus: correlation of a person's rates between AUs.
        between_models: correlation of a person's rates between two models.
    """

    recall: float = 0.75
    false_alarms: float = 0.4
    recall_size: float = 8.0
    false_size: float = 20.0
    between_aus: float = 0.2
    between_models: float = 0.5


MODERATE = Heterogeneity()
CONDITIONS = {
    "moderate": MODERATE,
    "people differ more": Heterogeneity(recall_size=4.0, false_size=8.0),
    "people differ less": Heterogeneity(recall_size=20.0, false_size=60.0),
    "weak model": Heterogeneity(recall=0.6, false_alarms=0.8),
    "AUs go together": Heterogeneity(between_aus=0.5),
}


class Population:
    """Endless subjects of each part of one data set."""

    def __init__(self, folds: list[FoldCounts], spread: Heterogeneity) -> None:
        self.positives = [fold.counts[..., 2] for fold in folds]
        self.negatives = [fold.counts[..., 3] for fold in folds]
        self.spread = spread
        rate = sum(p.sum(axis=0) for p in self.positives) / sum(f.counts.sum(axis=(0, 2)) for f in folds)
        self.false_alarms = np.minimum(spread.false_alarms * rate / (1 - rate), 0.3)
        self.recall = np.full(len(rate), spread.recall)

    def expected(self) -> list[np.ndarray]:
        """Mean counts of one subject of each part, `[A, 4]`."""
        return [
            np.stack(
                [
                    self.recall * positives.mean(axis=0),
                    self.false_alarms * negatives.mean(axis=0),
                    (1 - self.recall) * positives.mean(axis=0),
                    (1 - self.false_alarms) * negatives.mean(axis=0),
                ],
                axis=-1,
            )
            for positives, negatives in zip(self.positives, self.negatives, strict=True)
        ]

    def headline(self, how: Aggregation) -> float:
        """The true value; pooled and by subject each part weighs by its number of subjects, as it does in a sample."""
        if how == "subject-mean":
            # no closed form: the mean over 80,000 people or so
            (parts,) = self.trials(2000, np.random.default_rng(1))
            crowd = np.concatenate([part.reshape(-1, *part.shape[2:]) for part in parts])
            return float(np.nanmean(mean_defined(f1(crowd))[0]))
        expected = self.expected()
        if how == "pooled":
            sizes = np.array([len(positives) for positives in self.positives])
            expected = [np.tensordot(sizes, np.stack(expected), axes=1)]
        return float(np.mean([f1(counts).mean() for counts in expected]))

    def trials(self, number: int, generator: np.random.Generator, *, models: int = 1) -> list[list[np.ndarray]]:
        """Counts of `models` models on the same `number` test sets: by model, by part, `[number, S, A, 4]`."""
        drawn: list[list[np.ndarray]] = [[] for _ in range(models)]
        for positives, negatives in zip(self.positives, self.negatives, strict=True):
            subject = generator.integers(0, len(positives), size=(number, len(positives)))
            present, absent = positives[subject], negatives[subject]
            recall = self._rates(self.recall, self.spread.recall_size, (models, *present.shape), generator)
            false_alarms = self._rates(self.false_alarms, self.spread.false_size, (models, *present.shape), generator)
            for model in range(models):
                hits = generator.binomial(present, recall[model])
                false = generator.binomial(absent, false_alarms[model])
                drawn[model].append(np.stack([hits, false, present - hits, absent - false], axis=-1))
        return drawn

    def _rates(
        self, mean: np.ndarray, size: float, shape: tuple[int, ...], generator: np.random.Generator
    ) -> np.ndarray:
        """Beta rates `[models, trials, S, A]` with the correlations of a Gaussian copula."""
        own = [generator.standard_normal((*axes, shape[-1])) for axes in ((1, *shape[1:-1]), shape[:-1])]
        person = [generator.standard_normal((*axes, 1)) for axes in ((1, *shape[1:-1]), shape[:-1])]
        mix = [np.sqrt(self.spread.between_models), np.sqrt(1 - self.spread.between_models)]
        rho = self.spread.between_aus
        normal = sum(m * (np.sqrt(rho) * p + np.sqrt(1 - rho) * o) for m, p, o in zip(mix, person, own, strict=True))
        grid = np.linspace(-5, 5, 501)
        quantiles = [beta.ppf(norm.cdf(grid), size * m, size * (1 - m)) for m in mean]
        return np.stack([np.interp(normal[..., a], grid, q) for a, q in enumerate(quantiles)], axis=-1)


def _folds(parts: list[np.ndarray], trial: int) -> list[FoldCounts]:
    return [
        FoldCounts(f"P{number}", tuple(f"P{number}-{index:02d}" for index in range(part.shape[1])), part[trial])
        for number, part in enumerate(parts, start=1)
    ]


def _cross(models: list[np.ndarray], trial: int) -> list[FoldCounts]:
    """One fold per model, all on the same subjects."""
    names = tuple(f"s{index:02d}" for index in range(models[0].shape[1]))
    return [FoldCounts(f"source-{number}", names, model[trial]) for number, model in enumerate(models)]


def _coverage(
    population: Population, *, how: Aggregation, method: Method, trials: int, draws: int
) -> tuple[float, float, float, float]:
    """Share of trials whose interval holds the true value, is all above it, is all below it; mean width."""
    truth = population.headline(how)
    (parts,) = population.trials(trials, np.random.default_rng(2024))
    found = [
        bootstrap_interval(_folds(parts, trial), METRICS["f1"], how=how, method=method, draws=draws, seed=trial)
        for trial in range(trials)
    ]
    low, high = np.array([(interval.low, interval.high) for interval in found if interval is not None]).T
    assert len(low) == trials
    holds = (low <= truth) & (truth <= high)
    return float(holds.mean()), float((low > truth).mean()), float((high < truth).mean()), float((high - low).mean())


def _told_apart(one: list[FoldCounts], two: list[FoldCounts], *, how: Aggregation, draws: int, seed: int) -> bool:
    return swap_test(one, two, metric=METRICS["f1"], how=how, draws=draws, seed=seed)[0] <= 0.05


@pytest.mark.parametrize("dataset", COVERAGE)
def test_interval_of_the_fold_mean_holds_the_true_value_as_often_as_it_says(
    published: Published, dataset: str, record_property: Record
) -> None:
    population = Population(published(dataset), MODERATE)
    coverage, above, below, width = _coverage(population, how="fold-mean", method="studentised", trials=600, draws=300)
    record_property(
        "measured",
        f"{dataset} coverage of the 95 % interval {coverage:.1%} "
        f"(all above {above:.1%}, all below {below:.1%}), width {100 * width:.1f} points",
    )
    low, high = COVERAGE[dataset]
    assert low <= coverage <= high


@pytest.mark.parametrize("dataset", COVERAGE)
def test_equally_good_models_are_told_apart_in_about_one_of_twenty_trials(
    published: Published, dataset: str, record_property: Record
) -> None:
    one, two = Population(published(dataset), MODERATE).trials(800, np.random.default_rng(2025), models=2)
    rate = np.mean(
        [_told_apart(_folds(one, t), _folds(two, t), how="fold-mean", draws=300, seed=t) for t in range(800)]
    )
    record_property("measured", f"{dataset} type-I error of the swap test at 5 % {rate:.1%}")
    assert TYPE_ONE[0] <= rate <= TYPE_ONE[1]


def test_simulated_truth_is_the_headline_of_a_very_large_test_set(published: Published) -> None:
    population = Population(published("disfa"), MODERATE)
    (parts,) = population.trials(3000, np.random.default_rng(1))
    crowd = [part.reshape(-1, *part.shape[2:]).sum(axis=0) for part in parts]
    assert np.mean([f1(counts).mean() for counts in crowd]) == pytest.approx(population.headline("fold-mean"), abs=2e-3)


def test_percentile_interval_is_too_short_for_f1(published: Published) -> None:
    population = Population(published("disfa"), MODERATE)
    coverage, _, below, _ = _coverage(population, how="fold-mean", method="percentile", trials=300, draws=400)
    assert coverage < 0.90
    assert below > 0.10


@pytest.mark.parametrize("dataset", COVERAGE)
def test_frames_treated_as_independent_give_an_interval_that_misses_most_of_the_time(
    published: Published, dataset: str, record_property: Record
) -> None:
    population = Population(published(dataset), MODERATE)
    generator = np.random.default_rng(4)
    (parts,) = population.trials(300, generator)
    held = 0
    for trial in range(300):
        totals = [part[trial].sum(axis=0) for part in parts]
        # drawing frames with replacement is drawing the four cells of each AU from a multinomial
        resampled = [
            generator.multinomial(cells.sum(axis=1), cells / cells.sum(axis=1, keepdims=True), size=(200, len(cells)))
            for cells in totals
        ]
        scores = np.mean([f1(cells).mean(axis=-1) for cells in resampled], axis=0)
        low, high = np.quantile(scores, (0.025, 0.975))
        held += low <= population.headline("fold-mean") <= high
    record_property("measured", f"{dataset} coverage of a 95 % interval over frames {held / 300:.1%}")
    assert held / 300 < 0.5


@pytest.mark.nightly
@pytest.mark.parametrize("how", AGGREGATIONS)
@pytest.mark.parametrize("condition", CONDITIONS)
@pytest.mark.parametrize("dataset", COVERAGE)
def test_coverage_holds_over_conditions(
    published: Published, dataset: str, condition: str, how: Aggregation, record_property: Record
) -> None:
    population = Population(published(dataset), CONDITIONS[condition])
    coverage, above, below, width = _coverage(population, how=how, method="studentised", trials=2000, draws=1000)
    percentile = _coverage(population, how=how, method="percentile", trials=2000, draws=1000)[0]
    cells = (f"{coverage:.1%}", f"{above:.1%}", f"{below:.1%}", f"{100 * width:.1f}", f"{percentile:.1%}")
    record_property("measured", f"| coverage | {dataset} | {how} | {condition} | {' | '.join(cells)} |")
    low, high = COVERAGE[dataset]
    assert low <= coverage <= high


@pytest.mark.nightly
@pytest.mark.parametrize("dataset", COVERAGE)
def test_coverage_holds_where_every_fold_tests_the_same_subjects(
    published: Published, dataset: str, record_property: Record
) -> None:
    # three source pairs as three models with related errors on one target set
    population = Population(published(dataset), MODERATE)
    truth = population.headline("pooled")
    models = [np.concatenate(parts, axis=1) for parts in population.trials(2000, np.random.default_rng(3), models=3)]
    held = 0
    for trial in range(2000):
        found = bootstrap_interval(_cross(models, trial), METRICS["f1"], how="fold-mean", draws=1000, seed=trial)
        held += found is not None and found.low <= truth <= found.high
    record_property("measured", f"| coverage | {dataset} | fold-mean, same subjects | moderate | {held / 2000:.1%} |")
    low, high = COVERAGE[dataset]
    assert low <= held / 2000 <= high


@pytest.mark.nightly
@pytest.mark.parametrize("how", AGGREGATIONS)
@pytest.mark.parametrize("condition", CONDITIONS)
@pytest.mark.parametrize("dataset", COVERAGE)
def test_type_one_error_holds_over_conditions(
    published: Published, dataset: str, condition: str, how: Aggregation, record_property: Record
) -> None:
    population = Population(published(dataset), CONDITIONS[condition])
    one, two = population.trials(2000, np.random.default_rng(2025), models=2)
    rejected, excluded = 0, 0
    for trial in range(2000):
        found = compare(_folds(one, trial), _folds(two, trial), metric=METRICS["f1"], how=how, draws=600, seed=trial)
        rejected += found.p_value <= 0.05
        excluded += found.interval is not None and not found.interval.low <= 0 <= found.interval.high
    cells = f"{rejected / 2000:.1%} | {excluded / 2000:.1%}"
    record_property("measured", f"| type I | {dataset} | {how} | {condition} | {cells} |")
    assert TYPE_ONE[0] <= rejected / 2000 <= TYPE_ONE[1]
