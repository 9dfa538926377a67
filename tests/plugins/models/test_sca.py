import sys

import numpy as np
import pytest
import torch

from auharness.errors import DataError, UsageError
from auharness.records import Task
from auharness_plugins.models.sca import SCA, ChannelAttention, SpatialAttention, ZeroPadShortcut

CASME2 = tuple(f"AU{au}" for au in (1, 2, 4, 7, 12, 14, 15, 17))


def task(side=112, frames=10):
    return Task(CASME2, "clip-multilabel", "casme2", (30,) * 8, (240,) * 8, side, frames)


def test_ten_frames_become_one_map_of_the_size_in_the_port():
    with torch.device("meta"):
        module = SCA().build(task())
        assert module.trunk(torch.zeros(2, 10, 3, 112, 112)).shape == (2, 512, 4, 4)
    # conv1 64 x 3 x 343 and two norms of 64 are the stem; the head is a row of 513 for every AU
    assert sum(value.numel() for value in module.trunk.stem.parameters()) == 64 * 3 * 343 + 128
    assert sum(value.numel() for value in module.fc.parameters()) == 8 * 513
    assert sum(value.numel() for value in module.parameters()) == 33_891_896


def test_channels_are_weighted_by_their_row_of_the_covariance():
    torch.manual_seed(0)
    attention = ChannelAttention(6).eval()
    features = torch.randn(2, 6, 4, 4)
    weights = attention(features).detach()
    assert weights.shape == (2, 6, 1, 1)
    for row in range(2):
        covariance = np.cov(features[row].flatten(1).numpy(), bias=True)
        # a fresh norm in evaluation divides by sqrt(1 + 1e-5)
        sums = (attention.row.weight[:, 0, :, 0].detach().numpy() * covariance).sum(1) / np.sqrt(1 + 1e-5)
        wanted = 1 / (1 + np.exp(-(sums + attention.row.bias.detach().numpy())))
        np.testing.assert_allclose(weights[row, :, 0, 0].numpy(), wanted, rtol=1e-4)


def test_places_are_weighted_by_their_similarity_to_all_places():
    torch.manual_seed(0)
    attention = SpatialAttention(9).eval()
    features = torch.randn(2, 5, 3, 3)
    weights = attention(features).detach()
    assert weights.shape == (2, 1, 3, 3)
    flat = features[1].flatten(1).numpy().astype(np.float64)
    similar = flat.T @ flat / 9 - np.outer(flat.sum(0), flat.sum(0)) / 81
    similar = similar / np.sqrt(1 + 1e-5)
    kernel = attention.row.weight[:, 0, :, 0].detach().numpy().reshape(9, 4, 9)
    rows = np.maximum((kernel * similar[:, None]).sum(2).ravel() + attention.row.bias.detach().numpy(), 0)
    mixed = attention.mix.weight[:, :, 0, 0].detach().numpy() @ rows + attention.mix.bias.detach().numpy()
    np.testing.assert_allclose(weights[1, 0].flatten().numpy(), 1 / (1 + np.exp(-mixed)), rtol=1e-4)


def test_the_shortcut_has_no_weights_and_passes_the_gradient_on():
    x = torch.randn(1, 2, 4, 5, 5, requires_grad=True)
    out = ZeroPadShortcut(3, 2)(x)
    assert out.shape == (1, 3, 2, 3, 3)
    assert torch.equal(out[:, :2], x[:, :, ::2, ::2, ::2]) and not out[:, 2].any()
    out.sum().backward()
    assert x.grad.sum() == 2 * 2 * 3 * 3


def test_both_ways_of_attention_reach_the_logits():
    torch.manual_seed(0)
    module = SCA(width=8).build(task(side=64)).eval()
    clip = torch.rand(2, 10, 3, 64, 64)
    plain = module(clip)
    for part in (module.channel.row, module.spatial.mix):
        with torch.no_grad():
            part.bias += 3.0
        changed = module(clip)
        assert (changed - plain).abs().max() > 1e-5
        plain = changed


def test_what_the_network_cannot_take_is_refused():
    with pytest.raises(UsageError, match=r"16 frames are halved to one map, got 17; set preprocess\.frames"):
        SCA().build(task(frames=17))
    with pytest.raises(ValueError, match="multiple of 8"):
        SCA(width=12)


def test_a_run_without_torchvision_is_refused_before_it_starts(monkeypatch):
    monkeypatch.setitem(sys.modules, "torchvision", None)
    with pytest.raises(DataError, match=r"pip install 'auharness\[vision\]'"):
        SCA().check_ready(origin="synthetic", weights=False)
