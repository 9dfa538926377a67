import pytest

from auharness.statistics import holm


def test_adjusted_values_equal_a_worked_example() -> None:
    # by hand: 0.01 x 4, 0.02 x 3, max(0.03 x 2, 0.06), max(0.04 x 1, 0.06)
    assert holm({"a": 0.04, "b": 0.01, "c": 0.03, "d": 0.02}) == pytest.approx(
        {"a": 0.06, "b": 0.04, "c": 0.06, "d": 0.06}
    )


def test_adjusted_value_never_exceeds_one() -> None:
    assert holm({"a": 0.6, "b": 0.9}) == {"a": 1.0, "b": 1.0}


def test_single_test_is_left_as_it_is() -> None:
    assert holm({"a": 0.03}) == {"a": 0.03}
    assert holm({}) == {}
