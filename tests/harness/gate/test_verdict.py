import itertools

import pytest

from auharness.gate.verdict import Verdict, worst


@pytest.mark.parametrize(
    ("verdict", "code"),
    [("pass", 0), ("regression", 5), ("missing", 3), ("incomparable", 6), ("inconclusive", 6)],
)
def test_exit_codes_are_those_of_the_contract(verdict: str, code: int) -> None:
    assert Verdict(verdict).exit_code == code


def test_a_regression_outweighs_all_and_a_pass_nothing() -> None:
    for some in itertools.product(Verdict, repeat=3):
        assert (worst(some) is Verdict.REGRESSION) == (Verdict.REGRESSION in some)
        assert (worst(some) is Verdict.PASS) == (set(some) == {Verdict.PASS})


def test_missing_outweighs_what_cannot_be_decided() -> None:
    assert worst([Verdict.INCOMPARABLE, Verdict.MISSING, Verdict.INCONCLUSIVE]) is Verdict.MISSING


def test_a_gate_without_checks_does_not_pass() -> None:
    assert worst([]) is Verdict.MISSING
