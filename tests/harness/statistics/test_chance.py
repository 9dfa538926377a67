import numpy as np
import pytest
from sklearn.metrics import f1_score

from auharness.errors import UsageError
from auharness.metrics import METRICS, FoldCounts
from auharness.statistics import ORACLE_GRID, chance_levels

MACRO = METRICS["macro-f1-binary"]
# clips and positives per AU of the published sheets
CASME2 = (256, (26, 22, 130, 39, 34, 27, 16, 25))
SAMM = (159, (18, 23, 46, 28))


def published(clips: int, positives: tuple[int, ...]) -> tuple[list[FoldCounts], dict[str, np.ndarray]]:
    present = np.array(positives)
    counts = np.stack([present, clips - present, 0 * present, 0 * present], axis=-1)
    return [FoldCounts("all", ("all",), counts[None])], {"all": present / clips}


# Monte-Carlo values of an independent simulation with 2,000 draws: the percentiles on 159 clips are good to about 0.2
@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (CASME2, {"random-prior": 50.0, "random-prior-p95": 51.8, "random-oracle": 50.4, "random-oracle-p95": 52.1}),
        (SAMM, {"random-prior": 50.0, "random-prior-p95": 53.3, "random-oracle": 51.5, "random-oracle-p95": 54.7}),
    ],
)
def test_chance_on_the_published_counts_is_that_of_an_independent_simulation(
    data: tuple[int, tuple[int, ...]], expected: dict[str, float]
) -> None:
    folds, rates = published(*data)
    found = {name: 100 * level.mean for name, level in chance_levels(folds, MACRO, rates=rates).items()}
    assert found == pytest.approx(expected, abs=0.25)


def test_oracle_levels_are_those_of_simulated_scores_and_sklearn() -> None:
    generator = np.random.default_rng(1)
    target = np.repeat([[1], [0]], [6, 14], axis=0)
    best = []
    for _ in range(300):
        scores = generator.random(20)
        values = [
            f1_score(target[:, 0], scores > limit, labels=[0, 1], average="macro", zero_division=0)
            for limit in (
                0.10,
                0.15,
                0.20,
                0.25,
                0.30,
                0.35,
                0.40,
                0.45,
                0.50,
                0.55,
                0.60,
                0.65,
                0.70,
                0.75,
                0.80,
                0.85,
            )
        ]
        best.append(max(values))
    folds, rates = published(20, (6,))
    found = chance_levels(folds, MACRO, rates=rates)
    assert len(ORACLE_GRID) == 16
    assert found["random-oracle"].mean == pytest.approx(np.mean(best), abs=4 * np.std(best) / np.sqrt(300))


def test_the_same_counts_give_the_same_levels_and_another_seed_others() -> None:
    folds, rates = published(*SAMM)
    first = chance_levels(folds, MACRO, rates=rates, draws=200)
    again = chance_levels([FoldCounts("all", ("x",), folds[0].counts.copy())], MACRO, rates=rates, draws=200)
    other = chance_levels(folds, MACRO, rates=rates, draws=200, seed=1)
    assert [level.mean for level in first.values()] == [level.mean for level in again.values()]
    assert first["random-prior-p95"].mean != other["random-prior-p95"].mean


def test_each_fold_draws_at_its_own_rate() -> None:
    counts = np.array([[[50, 50, 0, 0]]])
    folds = [FoldCounts("01", ("01",), counts), FoldCounts("02", ("02",), counts)]
    found = chance_levels(folds, MACRO, rates={"01": np.array([1.0]), "02": np.array([0.0])}, draws=50)
    # present in the first fold, absent in the second: half right in each class, without any chance in it
    assert (found["random-prior"].mean, found["random-prior-p95"].mean) == (0.5, 0.5)


def test_an_au_that_is_nowhere_present_has_no_f1_and_leaves_the_mean() -> None:
    folds, rates = published(40, (0, 20))
    found = chance_levels(folds, METRICS["f1"], rates={"all": np.array([0.0, 0.5])}, draws=50)
    assert np.isnan(found["random-prior"].by_label[0])
    assert found["random-prior"].n_defined.tolist() == [0, 1]
    assert found["random-prior"].mean == pytest.approx(found["random-prior"].by_label[1])
    assert rates["all"].tolist() == [0.0, 0.5]


def test_what_has_no_pooled_score_of_counts_is_refused() -> None:
    folds, rates = published(*SAMM)
    with pytest.raises(UsageError, match="auroc"):
        chance_levels(folds, METRICS["auroc"], rates=rates)
    confusion = [FoldCounts("all", ("all",), np.array([[[3, 1], [1, 3]]]))]
    with pytest.raises(UsageError, match="uar with 10000 draws; expected a metric of counts"):
        chance_levels(confusion, METRICS["uar"], rates={"all": np.array([0.5, 0.5])})
    shared = [FoldCounts(name, ("S1",), folds[0].counts) for name in ("a", "b")]
    with pytest.raises(UsageError, match="the folds test the same subjects"):
        chance_levels(shared, MACRO, rates={"a": rates["all"], "b": rates["all"]})
