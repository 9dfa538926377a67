import torch

from auharness.nn.msp import MSP


def test_the_response_to_one_patch_reaches_one_three_and_five_cells():
    torch.manual_seed(0)
    layer = MSP(4)
    tokens = torch.zeros(1, 225, 4)
    rest = layer(tokens)
    tokens[0, 7 * 15 + 7] = 1.0
    touched = ((layer(tokens) - rest).abs().amax(-1) > 1e-7).view(15, 15).nonzero() - 7
    assert {int(v) for v in touched.abs().unique()} == {0, 1, 3, 5}
    assert len(touched) == 3 * 8 + 1


def test_it_equals_the_sum_of_hand_written_convolutions():
    torch.manual_seed(0)
    layer = MSP(2, dilations=(1, 2))
    grid = torch.randn(5, 5, 2)
    expected = torch.zeros(5, 5, 2)
    for conv, dilation in zip(layer.scales, (1, 2), strict=True):
        for row in range(5):
            for column in range(5):
                expected[row, column] += conv.bias
                for i in (-1, 0, 1):
                    for j in (-1, 0, 1):
                        y, x = row + dilation * i, column + dilation * j
                        if 0 <= y < 5 and 0 <= x < 5:
                            expected[row, column] += conv.weight[:, 0, i + 1, j + 1] * grid[y, x]
    ours = layer(grid.view(1, 25, 2))
    torch.testing.assert_close(ours[0], layer.out(expected.view(25, 2)), atol=1e-6, rtol=1e-5)


def test_parameters_at_paper_size():
    assert sum(p.numel() for p in MSP(384).parameters()) == 159_360
