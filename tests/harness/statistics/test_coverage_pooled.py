"""The interval of a pooled macro-F1 where each fold is one person with a few clips: how often it holds the truth."""

from collections.abc import Callable

import numpy as np
import pytest
from numpy.typing import NDArray

from auharness.metrics import METRICS, FoldCounts
from auharness.statistics import bootstrap_interval

MACRO = METRICS["macro-f1-binary"]
# people, clips and rates of the AUs, as published
SETS = {
    "casme2": (26, 256, np.array([26, 22, 130, 39, 34, 27, 16, 25]) / 256),
    "samm": (29, 159, np.array([18, 23, 46, 28]) / 159),
}


def people(chance: np.random.Generator, number: int, clips: float, rates: NDArray[np.float64]) -> NDArray[np.int64]:
    """Counts `[number, A, 4]` of people who differ in how often they show an AU and in how well they are read."""

    def near(share: float | NDArray[np.float64], spread: float, width: int) -> NDArray[np.float64]:
        centre = np.log(share / (1 - np.asarray(share)))
        moved: NDArray[np.float64] = 1 / (1 + np.exp(-(centre + chance.normal(0, spread, (number, width)))))
        return moved

    own = np.maximum(1, chance.poisson(clips, number))[:, None]
    present = chance.binomial(own, near(rates, 0.8, len(rates)))
    found = chance.binomial(present, near(0.6, 0.5, 1))
    false = chance.binomial(own - present, near(0.12, 0.5, 1))
    return np.stack([found, false, present - found, own - present - false], axis=-1)


@pytest.mark.nightly
@pytest.mark.parametrize("name", SETS)
def test_coverage_of_the_pooled_interval_is_near_its_level(
    name: str, record_property: Callable[[str, object], None]
) -> None:
    number, clips, rates = SETS[name]
    chance = np.random.default_rng(0)
    truth = MACRO.compute(people(chance, 200_000, clips / number, rates).sum(axis=0)).mean()
    held = 0
    for seed in range(1000):
        counts = people(chance, number, clips / number, rates)
        folds = [FoldCounts(str(place), (str(place),), counts[place : place + 1]) for place in range(number)]
        found = bootstrap_interval(folds, MACRO, how="pooled", draws=500, seed=seed)
        assert found is not None
        held += found.low <= truth <= found.high
    record_property("measured", f"{name} coverage of a 95 % interval of the pooled macro-F1 {held / 1000:.1%}")
    assert 920 <= held <= 975
