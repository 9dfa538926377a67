import pytest
import torch

from auharness.ops.scan import in_scan_order
from auharness.ops.ttt.layout import Layout, load, store


@pytest.mark.parametrize("suffix", [0, 1, 4, 11])
@pytest.mark.parametrize("mini_batch", [1, 3, 4, 11])
def test_the_blocks_are_the_tokens_in_scan_order_and_go_back_to_their_places(mini_batch, suffix):
    layout = Layout((2, 2, 3), 11, 5, mini_batch, (False, True), suffix)
    tokens, back = torch.randn(2, 2, 3, 11, 5), layout.empty(torch.empty(0), 5)
    ordered = in_scan_order(tokens, (False, True), suffix=suffix).flatten(0, 2)
    start = 0
    for rows, step, home in zip(layout.rows, layout.steps(tokens), layout.steps(back), strict=True):
        block = torch.empty(layout.chains, rows, 5)
        load(step, layout.directions(block))
        assert torch.equal(block, ordered[:, start : start + rows])
        store(layout.directions(block), home)
        start += rows
    assert start == 11
    assert torch.equal(back, tokens)


def test_joining_the_heads_of_an_empty_tensor_copies_nothing():
    tokens = Layout((1, 2, 3), 7, 5, 4, (False,), 0).empty(torch.empty(0), 5)
    assert tokens.shape == (1, 2, 3, 7, 5)
    assert tokens.transpose(2, 3).flatten(3).data_ptr() == tokens.data_ptr()
