import numpy as np
import pytest
from scipy import stats

from auharness.scaling.fit import fit_exponent


@pytest.mark.parametrize("slope", [1.0, 2.0])
def test_a_power_law_gives_its_exponent(slope):
    lengths = [197, 1024, 2048, 4096, 8192]
    found = fit_exponent(lengths, [3e-4 * length**slope for length in lengths])
    assert (found.slope, found.low, found.high) == pytest.approx((slope, slope, slope))
    assert found.points == 4  # 197 is too short to show growth


def test_the_interval_is_that_of_the_regression():
    lengths, times = [1024, 2048, 4096, 8192], [1.0, 2.2, 3.9, 8.3]
    line = stats.linregress(np.log(lengths), np.log(times))
    reach = stats.t.ppf(0.975, 2) * line.stderr
    found = fit_exponent(lengths, times)
    assert (found.slope, found.high - found.slope) == pytest.approx((line.slope, reach))


def test_the_interval_covers_the_true_exponent_about_as_often_as_it_says():
    lengths, random = 1024 * 2.0 ** np.arange(5), np.random.default_rng(0)
    noise = random.normal(0, 0.05, (400, 5))
    found = [fit_exponent([int(x) for x in lengths], list(lengths**1.5 * np.exp(row))) for row in noise]
    covered = np.mean([fit.low <= 1.5 <= fit.high for fit in found])
    assert 0.92 <= covered <= 0.98


def test_fewer_than_three_lengths_give_no_exponent():
    assert fit_exponent([197, 512, 1024, 2048], [1, 2, 3, 4]) is None
    assert fit_exponent([1024, 1024, 2048], [1, 1, 2]) is None
