import torch
from torch.nn import functional as F

from auharness.nn.squeeze_excitation import FrameSqueezeExcitation


def test_au_llm_has_512_parameters_and_no_bias():
    layer = FrameSqueezeExcitation(64)
    shapes = [tuple(parameter.shape) for parameter in layer.parameters()]
    assert shapes == [(4, 64), (64, 4)]
    assert sum(parameter.numel() for parameter in layer.parameters()) == 512


def test_it_equals_a_two_dimensional_layer_on_each_frame():
    layer = FrameSqueezeExcitation(8, ratio=4)
    features = torch.randn(2, 8, 3, 5, 4)
    out, weights = layer(features)
    down, up = (parameter for parameter in layer.parameters())
    for frame in range(3):
        pooled = F.adaptive_avg_pool2d(features[:, :, frame], 1).flatten(1)
        wanted = torch.sigmoid(torch.relu(pooled @ down.T) @ up.T)
        torch.testing.assert_close(weights[:, :, frame], wanted)
        torch.testing.assert_close(out[:, :, frame], features[:, :, frame] * wanted[:, :, None, None])


def test_one_frame_does_not_see_another():
    layer = FrameSqueezeExcitation(8, ratio=1)
    features = torch.randn(1, 8, 3, 5, 4)
    other = features.clone()
    other[:, :, 2] += 1.0
    changed = (layer(other)[1] - layer(features)[1]).abs().amax(dim=(0, 1))
    assert changed[:2].max() == 0 and changed[2] > 0


def test_few_channels_keep_one_in_the_bottleneck():
    assert next(FrameSqueezeExcitation(8).parameters()).shape == (1, 8)
