import pytest
import torch

from auharness.nn.roi import roi_pool, roi_scatter

PATCHES = torch.tensor([[[1.0, 10.0], [2.0, 20.0], [3.0, 30.0], [4.0, 40.0]]])
MASKS = torch.tensor([[[[1.0, 0.5], [0.0, 0.0]], [[0.0, 1.0], [0.0, 1.0]]]])


def test_equation_7_by_hand():
    # the mean over H' W' = 4 cells of the masked patches
    assert roi_pool(PATCHES, MASKS).tolist() == [[[0.5, 5.0], [1.5, 15.0]]]


def test_dividing_by_the_mask_gives_a_weighted_mean():
    pooled = roi_pool(PATCHES, MASKS, divide="mask")
    torch.testing.assert_close(pooled, torch.tensor([[[2 / 1.5, 20 / 1.5], [3.0, 30.0]]]))


def test_an_empty_mask_pools_to_zero():
    assert roi_pool(PATCHES, torch.zeros(1, 2, 2, 2), divide="mask").abs().max() == 0


def test_scatter_by_mask_by_hand():
    tokens = torch.tensor([[[1.0], [4.0]]])
    out = roi_scatter(tokens, MASKS)
    # the second patch is covered to 0.5 and 1, together 1.5
    torch.testing.assert_close(out, torch.tensor([[[1.0], [4.5 / 1.5], [0.0], [4.0], [2.5]]]))


@pytest.mark.parametrize(("to", "patch"), [("mean", 2.5), ("cls", 0.0)])
def test_scatter_options(to, patch):
    out = roi_scatter(torch.tensor([[[1.0], [4.0]]]), MASKS, to=to)
    assert out.flatten().tolist() == [patch] * 4 + [2.5]


def test_scatter_by_mask_is_the_adjoint_of_the_sum_where_masks_do_not_overlap():
    generator = torch.Generator().manual_seed(0)
    masks = torch.zeros(2, 3, 3, 3)
    masks[:, 0, 0], masks[:, 1, 1], masks[:, 2, 2, 1] = 0.3, 1.0, 0.8
    patches, tokens = torch.randn(2, 9, 4, generator=generator), torch.randn(2, 3, 4, generator=generator)
    pooled = roi_pool(patches, masks) * 9
    scattered = roi_scatter(tokens, masks)[:, :-1]
    torch.testing.assert_close((pooled * tokens).sum(), (patches * scattered).sum())
