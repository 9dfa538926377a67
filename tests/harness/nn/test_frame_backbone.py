import math
from importlib.util import find_spec

import pytest
import torch

from auharness.efficiency import count, count_parameters, fvcore_count
from auharness.errors import UsageError
from auharness.nn.frame_backbone import EdgeCells, PlaceWeights, efficientnet_v2_s, small_cnn
from auharness.nn.vision import import_torchvision

FRAMES = 16
# GMACs of 16 frames by fvcore, whose count includes one per element of a batch norm
PUBLISHED = {112: 12.26, 128: 15.07, 224: 46.0}


@pytest.fixture(scope="module")
def network():
    if find_spec("torchvision") is None:
        pytest.skip("needs `vision`")
    with torch.device("meta"):
        return efficientnet_v2_s()


@pytest.mark.parametrize("side", PUBLISHED)
def test_macs_of_efficientnet_v2_s(network, side):
    frames = torch.zeros(FRAMES, 3, side, side, device="meta")
    assert count(network, [frames]).macs / 1e9 == pytest.approx(PUBLISHED[side], rel=0.01)


def test_it_is_torchvisions_network_without_its_head(network):
    whole = import_torchvision().models.efficientnet_v2_s
    with torch.device("meta"):
        features = whole(weights=None).features
        assert network(torch.zeros(2, 3, 128, 128)).shape == (2, 1280, 4, 4)
        assert network.run(torch.zeros(2, 3, 128, 128), stop=network.cut).shape == (2, network.cut_channels, 8, 8)
    assert list(network.state_dict()) == list(features.state_dict())
    assert count_parameters(network) == 20_177_488


@pytest.mark.nightly
@pytest.mark.skipif(find_spec("torchvision") is None or find_spec("fvcore") is None, reason="needs `vision`, `flops`")
def test_fvcore_counts_the_published_macs_with_its_norms():
    found = fvcore_count(efficientnet_v2_s(), [torch.zeros(FRAMES, 3, 112, 112)], handles={})
    assert found.macs / 1e9 == pytest.approx(12.26, abs=0.01)


def test_a_small_network_has_the_same_interface():
    torch.manual_seed(0)
    network = small_cnn(24, image_size=48).eval()
    frames = torch.rand(2, 3, 48, 48)
    assert network(frames).shape == (2, network.channels, 4, 4) == (2, 24, 4, 4)
    early = network.run(frames, stop=network.cut)
    assert early.shape == (2, network.cut_channels, 8, 8)
    assert torch.equal(network.run(early, start=network.cut), network(frames))
    assert not network.half().training  # the number of stages does not hide torch's method
    with pytest.raises(UsageError, match="multiple of 12 px, got 64"):
        small_cnn(24, image_size=64)


def _stripes(degrees, side=24):
    """A wave whose gradient points to `degrees`, clockwise from the right."""
    turn = math.radians(degrees)
    y, x = torch.meshgrid(torch.arange(float(side)), torch.arange(float(side)), indexing="ij")
    return torch.sin(0.7 * (math.cos(turn) * x + math.sin(turn) * y)).expand(1, 3, side, side)


@pytest.mark.parametrize("number", range(4))
def test_edges_answer_in_their_direction_whichever_way_they_point(number):
    cells = EdgeCells(4, cell=6)
    found = cells(_stripes(45 * number))
    assert found.shape == (1, 4, 4, 4)
    assert (found.argmax(1) == number).all()
    torch.testing.assert_close(cells(-_stripes(45 * number)), found)


def test_edges_are_shared_out_by_the_fourth_power_of_the_cosine():
    cells, frames = EdgeCells(8, cell=6), torch.rand(2, 3, 24, 24, dtype=torch.float64)
    grey = torch.einsum("nchw,c->nhw", frames, torch.tensor([0.299, 0.587, 0.114], dtype=torch.float64))
    wide = torch.nn.functional.pad(grey[:, None], (1, 1, 1, 1), mode="replicate")[:, 0]
    right, down = wide[:, 1:-1, 2:] - wide[:, 1:-1, :-2], wide[:, 2:, 1:-1] - wide[:, :-2, 1:-1]
    angle, size = torch.atan2(down, right), torch.hypot(right, down)
    shares = torch.stack([size * torch.cos(angle - k * math.pi / 8) ** 4 for k in range(8)], 1)
    wanted = shares.unflatten(2, (4, 6)).unflatten(4, (4, 6)).mean((3, 5))
    found = cells.double()(frames)
    # what is left is one factor per cell, the norm around it
    ratio = found / wanted
    torch.testing.assert_close(ratio, ratio[:, :1].expand_as(ratio), rtol=0.02, atol=0)


def test_edges_of_a_dimmer_picture_are_as_strong_and_a_blank_one_has_none():
    cells, frames = EdgeCells(4, cell=6), torch.rand(1, 3, 24, 24)
    torch.testing.assert_close(cells(0.3 * frames + 0.2), cells(frames), rtol=0.05, atol=0.01)
    blank = torch.full((1, 3, 24, 24), 0.7, requires_grad=True)
    found = cells(blank)
    assert not found.any()
    found.sum().backward()
    assert blank.grad.isfinite().all()


def test_places_have_weights_of_their_own():
    torch.manual_seed(0)
    layer, x = PlaceWeights(3, 4), torch.ones(2, 3, 4, 4)
    assert torch.equal(layer(x)[1], layer.weight) and layer.weight.unique().numel() == 48
