from importlib.util import find_spec

import pytest
import torch

from auharness.efficiency import count, count_parameters, fvcore_count
from auharness.nn.frame_backbone import efficientnet_v2_s, small_cnn
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
    network = small_cnn((8, 16, 24)).eval()
    frames = torch.rand(2, 3, 48, 48)
    assert network(frames).shape == (2, network.channels, 6, 6) == (2, 24, 6, 6)
    early = network.run(frames, stop=network.cut)
    assert early.shape == (2, network.cut_channels, 12, 12)
    assert torch.equal(network.run(early, start=network.cut), network(frames))
    assert not network.half().training  # the number of stages does not hide torch's method
