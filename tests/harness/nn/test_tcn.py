import torch

from auharness.nn.tcn import TCN


def test_levels_reach_their_gaps_into_past_and_future():
    module = TCN(4, widths=(6, 6, 5, 5)).double().eval()
    x = torch.randn(1, 200, 4, dtype=torch.float64, requires_grad=True)
    y = module(x)
    assert y.shape == (1, 200, 5) == (1, 200, module.width)
    y[0, 100].sum().backward()
    assert x.grad is not None
    touched = x.grad[0].abs().sum(-1).nonzero()[:, 0]
    # two convolutions of 5 per level with gaps 1, 2, 4, 8: 2 * 2 * 15 to either side
    assert (int(touched[0]), int(touched[-1])) == (40, 160)


def test_parameters_of_the_abaw_size():
    def level(before, after):
        # two weight-normed convolutions with biases and a norm per channel, and the path around them
        convs = 5 * before * after + 2 * after + 5 * after * after + 2 * after
        return convs + (before * after + after if before != after else 0)

    wanted = level(1536, 256) + level(256, 256) + level(256, 128) + level(128, 128)
    assert sum(value.numel() for value in TCN(1536).parameters()) == wanted == 3_788_160
