import pytest
import torch

from auharness.errors import UsageError
from auharness.ops.scan import check_suffix, in_scan_order, reverse_flags, reverse_tokens, scan_positions


def test_reversing_leaves_the_suffix_in_place_and_undoes_itself():
    x = torch.arange(12).view(6, 2)
    reversed_ = reverse_tokens(x, suffix=2)
    assert reversed_[:, 0].tolist() == [6, 4, 2, 0, 8, 10]
    assert torch.equal(reverse_tokens(reversed_, suffix=2), x)


def test_a_token_is_read_at_its_scan_position():
    tokens = torch.arange(5)
    order = reverse_tokens(tokens, suffix=1, dim=0)
    assert scan_positions(5, reverse=True, suffix=1)[order].tolist() == [0, 1, 2, 3, 4]
    assert scan_positions(5).tolist() == [0, 1, 2, 3, 4]


def test_each_direction_has_its_own_order():
    x = torch.arange(3).expand(2, 3)
    assert in_scan_order(x, (False, True), dim=-1).tolist() == [[0, 1, 2], [2, 1, 0]]


@pytest.mark.parametrize(
    ("direction", "expected"), [("forward", (False,)), ("reverse", (True,)), ("both", (False, True))]
)
def test_a_direction_says_which_scans_read_backwards(direction, expected):
    assert reverse_flags("op", direction) == expected


def test_an_unknown_direction_is_answered_with_its_neighbour():
    with pytest.raises(UsageError, match=r"op has no direction 'bath'; did you mean 'both'\? \(directions: forward, "):
        reverse_flags("op", "bath")


def test_a_suffix_is_at_most_the_sequence():
    check_suffix("op", 0, 3)
    check_suffix("op", 3, 3)
    for suffix in (-1, 4):
        with pytest.raises(UsageError, match=f"^op: suffix is {suffix}, expected 0 to 3, the number of tokens$"):
            check_suffix("op", suffix, 3)
