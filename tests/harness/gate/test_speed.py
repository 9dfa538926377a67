import math

import numpy as np
import pytest
from scipy.stats import mannwhitneyu

from auharness.gate.speed import Limits, Measured, interleaved, judge_speed, sessions
from auharness.gate.verdict import Verdict

LIMITS = Limits()
CLEAR = Measured(ratio=1.01, noise=0.005, p_value=0.3, n_base=20, n_head=20)
SLOW = Measured(ratio=1.10, noise=0.005, p_value=1e-6, n_base=20, n_head=20)
COARSE = Measured(ratio=1.10, noise=0.05, p_value=1e-6, n_base=20, n_head=20)


def test_the_ratio_is_exact_under_a_steady_drift() -> None:
    # each process 1 % slower than the one before, in the order base, head, head, base
    times = (1.01 ** np.arange(40)).reshape(10, 4)
    found = interleaved(times[:, [0, 3]], 1.2 * times[:, [1, 2]])
    assert found.ratio == pytest.approx(1.2)
    assert found.noise == pytest.approx(0, abs=1e-12)


def test_the_noise_is_the_spread_of_the_ratio_of_equal_code() -> None:
    rng = np.random.default_rng(0)
    found = [interleaved(*np.exp(0.02 * rng.standard_normal((2, 40, 2)))) for _ in range(400)]
    spread = np.std([math.log(one.ratio) for one in found])
    assert np.mean([one.noise for one in found]) == pytest.approx(spread, rel=0.12)


def test_the_p_value_is_that_of_scipy_over_all_processes() -> None:
    rng = np.random.default_rng(1)
    base, head = rng.lognormal(size=(2, 10, 2))
    assert interleaved(base, head).p_value == mannwhitneyu(head.ravel(), base.ravel()).pvalue
    assert sessions(base.ravel(), head.ravel()).p_value == mannwhitneyu(head.ravel(), base.ravel()).pvalue


def test_times_that_are_all_equal_are_no_difference() -> None:
    same = np.full((10, 2), 0.5)
    assert interleaved(same, same) == Measured(1.0, 0.0, 1.0, 20, 20)


def test_sessions_compare_the_least_times() -> None:
    found = sessions(np.array([1.0, 3.0, 1.1, 5.0]), np.array([9.0, 2.0]))
    assert found.ratio == 2.0
    assert found.noise == pytest.approx(0.1)


@pytest.mark.parametrize(
    ("change", "suspect"),
    [
        ({}, True),
        ({"p_value": 0.002}, False),
        ({"p_value": float("nan")}, False),
        ({"ratio": 1.049}, False),
        ({"ratio": 0.5}, False),
        ({"noise": 0.034}, False),
    ],
)
def test_suspect_needs_both_criteria(change: dict[str, float], suspect: bool) -> None:
    assert LIMITS.suspect(Measured(**{**vars(SLOW), **change})) is suspect


@pytest.mark.parametrize(
    ("runs", "verdict"),
    [
        ([CLEAR], Verdict.PASS),
        ([SLOW], Verdict.INCONCLUSIVE),
        ([SLOW, SLOW], Verdict.REGRESSION),
        ([SLOW, CLEAR], Verdict.PASS),
        ([COARSE], Verdict.INCONCLUSIVE),
        ([COARSE, COARSE], Verdict.INCONCLUSIVE),
        ([COARSE, SLOW], Verdict.INCONCLUSIVE),
        ([COARSE, CLEAR], Verdict.PASS),
    ],
)
def test_a_regression_must_be_seen_twice_and_noise_is_no_pass(runs: list[Measured], verdict: Verdict) -> None:
    assert judge_speed(runs, LIMITS)[0] is verdict


def test_a_wide_limit_of_the_policy_is_not_noise() -> None:
    assert not Limits(slowdown=0.5).coarse(CLEAR)
