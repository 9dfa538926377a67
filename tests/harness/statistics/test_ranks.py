import math

from auharness.statistics import shared_ranks


def test_rows_share_a_rank_only_with_a_leader_they_cannot_be_told_from() -> None:
    # b is close to a, c is close to b but not to a: the chain does not lift c to rank 1
    apart = {("a", "c"), ("a", "d"), ("c", "d")}
    assert shared_ranks({"a": 0.7, "b": 0.65, "c": 0.6, "d": 0.4}, lambda x, y: (x, y) in apart) == {
        "a": 1,
        "b": 1,
        "c": 3,
        "d": 4,
    }


def test_ranks_follow_the_score_when_all_are_separable() -> None:
    assert shared_ranks({"a": 0.2, "b": 0.9, "c": 0.5}, lambda x, y: True) == {"b": 1, "c": 2, "a": 3}
    assert shared_ranks({"a": 0.2, "b": 0.9}, lambda x, y: True, higher_is_better=False) == {"a": 1, "b": 2}


def test_equal_scores_share_a_rank_without_a_test() -> None:
    assert shared_ranks({"b": 0.5, "a": 0.5}, lambda x, y: True) == {"a": 1, "b": 1}


def test_row_without_a_score_has_no_rank() -> None:
    assert shared_ranks({"a": math.nan, "b": 0.5}, lambda x, y: True) == {"b": 1, "a": None}


def test_each_row_is_compared_once_with_its_leader() -> None:
    asked: list[tuple[str, str]] = []

    def separable(leader: str, row: str) -> bool:
        asked.append((leader, row))
        return row == "c"

    shared_ranks({"a": 4.0, "b": 3.0, "c": 2.0, "d": 1.0}, separable)
    assert asked == [("a", "b"), ("a", "c"), ("c", "d")]
