import torch

from auharness.ops.scan import in_scan_order, reverse_tokens, scan_positions


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
