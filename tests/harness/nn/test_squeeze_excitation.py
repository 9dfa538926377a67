import pytest
import torch
from torch.nn import functional as F

from auharness.nn.squeeze_excitation import FrameSqueezeExcitation


def test_au_llm_has_512_parameters_and_no_bias():
    layer = FrameSqueezeExcitation(64)
    shapes = [tuple(parameter.shape) for parameter in layer.parameters()]
    assert shapes == [(4, 64), (64, 4)]
    assert sum(parameter.numel() for parameter in layer.parameters()) == 512


def test_it_equals_a_two_dimensional_layer_on_each_frame() -> None:
    layer = FrameSqueezeExcitation(8, ratio=4)
    features = torch.randn(2, 8, 3, 5, 4)
    out, weights = layer(features)
    down, up = (parameter for parameter in layer.parameters())
    for frame in range(3):
        pooled = F.adaptive_avg_pool2d(features[:, :, frame], 1).flatten(1)
        wanted = torch.sigmoid(torch.relu(pooled @ down.T) @ up.T)
        torch.testing.assert_close(weights[:, :, frame], wanted)
        torch.testing.assert_close(out[:, :, frame], features[:, :, frame] * wanted[:, :, None, None])


def test_one_frame_does_not_see_another() -> None:
    layer = FrameSqueezeExcitation(8, ratio=1)
    features = torch.randn(1, 8, 3, 5, 4)
    other = features.clone()
    other[:, :, 2] += 1.0
    changed = (layer(other)[1] - layer(features)[1]).abs().amax(dim=(0, 1))
    assert changed[:2].max() == 0 and changed[2] > 0


@pytest.mark.parametrize(("channels", "hidden"), [(8, 4), (16, 4), (64, 4), (128, 8)])
def test_few_channels_keep_four_hidden_units(channels: int, hidden: int) -> None:
    assert next(FrameSqueezeExcitation(channels).parameters()).shape == (hidden, channels)


def test_few_clips_leave_every_hidden_unit_of_few_channels_at_zero() -> None:
    clips = torch.randn(64, 16, 1, 1, 1)
    silent = [(FrameSqueezeExcitation(16)(clips)[1] == 0.5).all(dim=1).float().mean() for _ in range(50)]
    # each unit is at zero for half of the clips: all four for one in sixteen
    assert torch.stack(silent).mean() == pytest.approx(1 / 16, abs=0.02)
