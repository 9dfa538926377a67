import pytest
import torch
from torch import nn

from auharness.errors import UsageError
from auharness.nn.micro3d import Micro3DCNN


def _count(module):
    return sum(parameter.numel() for parameter in module.parameters())


def _built(frames=6, size=64, **options):
    with torch.device("meta"):
        return Micro3DCNN(frames, size, **options)


def test_f_mid_has_10368_values_and_f_high_256():
    module = Micro3DCNN(6, 64).eval()
    mid, high, weights = module(torch.rand(2, 6, 1, 64, 64))
    assert mid.shape == (2, 10_368) and high.shape == (2, 256) and weights.shape == (2, 64, 4)
    assert (module.mid_size, module.high_size, module.fused_size) == (10_368, 256, 10_624)


def test_the_raw_clip_gives_features_of_the_same_size():
    mid, high, weights = Micro3DCNN(6, 64, led=False, se=False).eval()(torch.rand(2, 6, 1, 64, 64))
    assert mid.shape == (2, 10_368) and high.shape == (2, 256) and weights is None


def test_parameters_are_the_sum_of_the_layers():
    # convolutions 832 + 36,928, norms 64 + 128, fully connected 2,654,464; squeeze-and-excitation 512, LED 3
    plain = 832 + 36_928 + 64 + 128 + 2_654_464
    assert _count(_built(led=False, se=False)) == plain
    assert _count(_built()) == plain + 512 + 3


@pytest.mark.parametrize(("frames", "size", "led"), [(6, 48, True), (8, 50, False), (4, 16, True)])
def test_the_stated_size_is_the_size(frames, size, led):
    module = Micro3DCNN(frames, size, widths=(3, 5), high=7, led=led).eval()
    mid, high, _ = module(torch.rand(1, frames, 1, size, size))
    assert mid.shape == (1, module.mid_size) and high.shape == (1, 7)


@pytest.mark.parametrize(("frames", "size"), [(3, 64), (6, 15)])
def test_a_clip_that_leaves_nothing_is_refused(frames, size):
    with pytest.raises(UsageError, match=rf"got {frames - 1} frames of {size} px; set preprocess"):
        _built(frames, size)


def test_the_order_of_the_layers_is_that_of_the_released_code():
    module = Micro3DCNN(6, 64)
    assert [type(layer) for layer in module.block1] == [
        nn.Conv3d,
        nn.ReLU,
        nn.MaxPool3d,
        nn.BatchNorm3d,
        nn.Dropout3d,
    ]
    # normalised before the pooling in the second block, behind it in the first
    assert [type(layer) for layer in module.block2] == [nn.Conv3d, nn.ReLU, nn.BatchNorm3d]
    assert [type(layer) for layer in module.pool] == [nn.MaxPool3d, nn.Dropout3d, nn.Flatten]


def test_a_static_clip_shows_nothing_but_the_biases():
    module = Micro3DCNN(6, 32, widths=(3, 5), high=7).eval()
    still = torch.rand(2, 1, 1, 32, 32).expand(-1, 6, -1, -1, -1)
    mid, high, _ = module(still)
    # two different faces look alike
    assert torch.equal(mid[0], mid[1]) and torch.equal(high[0], high[1])
    raw = Micro3DCNN(6, 32, widths=(3, 5), high=7, led=False).eval()(still)
    assert not torch.equal(raw.mid[0], raw.mid[1])
