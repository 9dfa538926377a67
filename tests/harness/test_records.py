import pytest

from auharness.errors import UsageError
from auharness.records import Fold


def test_a_fold_that_tests_who_trains_is_refused() -> None:
    train = frozenset({("casme2", "01"), ("casme2", "02")})
    with pytest.raises(UsageError, match=r"fold 01: \('casme2', '01'\) is in train and test \(1 shared keys\)"):
        Fold("01", train, frozenset({("casme2", "01")}))
    # the same name in another data set is another person
    assert Fold("01", train, frozenset({("casme", "01")})).test_ids == {("casme", "01")}


def test_a_fold_without_a_side_is_refused() -> None:
    with pytest.raises(UsageError, match="expected train and test keys, got 1 and 0"):
        Fold("01", frozenset({("casme2", "01")}), frozenset())
