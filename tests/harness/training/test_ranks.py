import pytest

from auharness.training.ranks import rows_of


@pytest.mark.parametrize("count", [1, 2, 3, 5])
def test_every_row_of_a_batch_is_computed_by_exactly_one_process(count: int) -> None:
    for rows in range(12):
        shares = [rows_of(rows, rank, count) for rank in range(count)]
        assert [row for share in shares for row in share] == list(range(rows))
        assert max(map(len, shares)) - min(map(len, shares)) <= 1
