import pytest
import torch
from torch import nn

from auharness.nn.facial_enhancer import FacialEnhancer
from auharness.nn.facial_frames import FacialFrames
from auharness.nn.facial_stack import FacialStack
from auharness.nn.frame_backbone import small_cnn

SIDE = 24


def frames_net(*, early: bool = False, frozen: bool = False) -> FacialFrames:
    torch.manual_seed(0)
    backbone = small_cnn(6, image_size=SIDE)
    enhancer = FacialEnhancer(backbone.cut_channels if early else backbone.channels)
    # it starts as the identity
    nn.init.ones_(enhancer.scale)
    facial = FacialStack(None, None, enhancer, image_size=SIDE, sigma=None)
    return FacialFrames(backbone, facial, early=early, frozen_norms=frozen)


def inputs(count: int = 3) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(1)
    return torch.rand(count, 3, SIDE, SIDE, generator=generator), torch.zeros(count, 68, 2), torch.ones(count).bool()


@pytest.mark.parametrize("early", [False, True])
def test_attention_acts_behind_the_backbone_or_before_its_last_halving(early: bool) -> None:
    net = frames_net(early=early).eval()
    frames, *where = inputs()
    first, last = net.backbone[0], net.backbone[1]
    enhance = net.facial.enhancer
    assert enhance is not None
    wanted = last(enhance(first(frames))) if early else enhance(last(first(frames)))
    features, seen = net(frames, *where)
    torch.testing.assert_close(features, wanted.mean((2, 3)))
    assert features.shape == (3, 6) and seen == {}
    assert list(net.layers()) == (["enhancer", "backbone"] if early else ["backbone", "enhancer"])


@pytest.mark.parametrize("frozen", [False, True])
def test_statistics_of_the_norms_move_in_training_unless_frozen(frozen: bool) -> None:
    net = frames_net(frozen=frozen).train()
    (norm,) = [part for part in net.modules() if isinstance(part, nn.BatchNorm2d)]
    assert norm.running_mean is not None
    before = norm.running_mean.clone()
    net(*inputs())
    assert net.training and torch.equal(before, norm.running_mean) == frozen
