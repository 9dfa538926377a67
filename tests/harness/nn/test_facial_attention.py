"""Facial CBAM, landmark attention and enhancer against their formulas."""

import pytest
import torch

from auharness.nn.facial_cbam import ChannelAttention, FacialCBAM, RegionAttention, SpatialAttention
from auharness.nn.facial_enhancer import FacialEnhancer
from auharness.nn.facial_stack import FacialStack
from auharness.nn.landmark_attention import LandmarkAttention


def features(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


@pytest.fixture(autouse=True)
def _seed():
    torch.manual_seed(0)


def test_channels_are_weighted_by_what_mean_and_maximum_say():
    layer, x = ChannelAttention(32), features(2, 32, 4, 5)
    first, second = layer.mlp[0], layer.mlp[2]
    logits = 0
    for seen in (x.mean((2, 3)), x.flatten(2).max(2).values):
        logits = logits + torch.relu(seen @ first.weight.T + first.bias) @ second.weight.T + second.bias
    torch.testing.assert_close(layer(x), x * torch.sigmoid(logits)[:, :, None, None])
    assert first.weight.shape == (2, 32)  # r = 16


def test_region_maps_are_masked_averaged_and_added_to_one():
    layer, x = RegionAttention(6), features(2, 6, 4, 4)
    masks = torch.rand(2, 8, 4, 4)
    out, maps = layer(x, masks)
    logits = torch.einsum("kc,nchw->nkhw", layer.maps.weight[:, :, 0, 0], x) + layer.maps.bias[:, None, None]
    torch.testing.assert_close(maps, torch.sigmoid(logits) * masks)
    torch.testing.assert_close(out, x * (1 + sum(maps[:, k : k + 1] for k in range(8)) / 8))


def test_no_masks_are_masks_of_one():
    x = features(2, 6, 4, 4)
    for layer in (RegionAttention(6), RegionAttention(6, gate="softmax")):
        for without, with_ones in zip(layer(x), layer(x, torch.ones(2, 8, 4, 4)), strict=True):
            assert torch.equal(without, with_ones)
    layer = LandmarkAttention(6)
    assert torch.equal(layer(x)[0], layer(x, torch.ones(2, 1, 4, 4))[0])


def test_a_softmax_gate_makes_places_compete():
    _, maps = RegionAttention(6, gate="softmax")(features(2, 6, 4, 4))
    torch.testing.assert_close(maps.mean((2, 3)), torch.ones(2, 8))


def test_places_are_weighted_by_the_mean_logit_of_three_scales():
    layer, x = SpatialAttention(), features(2, 5, 4, 4)
    assert [tuple(scale.weight.shape) for scale in layer.scales] == [(1, 2, side, side) for side in (3, 5, 7)]
    seen = torch.stack((x.mean(1), x.max(1).values), 1)
    logits = sum(torch.conv2d(seen, s.weight, s.bias, padding="same") for s in layer.scales) / 3
    out, weights = layer(x)
    torch.testing.assert_close(weights, torch.sigmoid(logits))
    torch.testing.assert_close(out, x * torch.sigmoid(logits))


def test_the_stages_follow_each_other_channel_region_place():
    layer, x, masks = FacialCBAM(32), features(2, 32, 4, 4), torch.rand(2, 8, 4, 4)
    by_region, regions = layer.region(layer.channel(x), masks)
    by_place, places = layer.spatial(by_region)
    found = layer(x, masks)
    for one, other in zip(found, (by_place, regions, places), strict=True):
        assert torch.equal(one, other)
    assert (found.features.shape, found.regions.shape, found.places.shape) == (x.shape, (2, 8, 4, 4), (2, 1, 4, 4))


def test_landmark_attention_changes_nothing_away_from_landmarks():
    layer, x = LandmarkAttention(6), features(2, 6, 4, 4)
    mask = torch.zeros(2, 1, 4, 4)
    mask[:, :, 1, 2] = 1
    out, weights = layer(x, mask)
    changed = (out != x).any(1)
    assert changed[:, 1, 2].all() and changed.sum() == 2
    logit = (layer.map.weight[0, :, 0, 0] * x[0, :, 1, 2]).sum() + layer.map.bias
    torch.testing.assert_close(weights[0, :, 1, 2], torch.sigmoid(logit))
    torch.testing.assert_close(out[0, :, 1, 2], x[0, :, 1, 2] * (1 + torch.sigmoid(logit)))


def test_a_fresh_enhancer_changes_nothing_and_learns():
    layer, x = FacialEnhancer(6), features(2, 6, 4, 4)
    assert torch.equal(layer(x), x)
    layer(x).square().sum().backward()
    assert layer.scale.grad.abs().min() > 0
    with torch.no_grad():
        layer.scale.fill_(2.0)
    shaped = torch.nn.functional.gelu(torch.conv2d(x, layer.depthwise.weight, layer.depthwise.bias, 1, 1, 1, 6))
    added = torch.einsum("oc,nchw->nohw", layer.pointwise.weight[:, :, 0, 0], shaped)
    torch.testing.assert_close(layer(x), x + 2 * (added + layer.pointwise.bias[:, None, None]))


@pytest.mark.parametrize("sigma", [0.5, None])
def test_a_stack_tells_what_its_parts_looked_at(sigma):
    parts = FacialCBAM(32), LandmarkAttention(32), FacialEnhancer(32)
    x, landmarks = features(3, 32, 4, 4), 64 * torch.rand(3, 68, 2)
    valid = torch.tensor([True, True, False])
    stack = FacialStack(*parts, image_size=64, sigma=sigma)
    out, seen = stack(x, landmarks, valid)
    assert {name: tuple(value.shape[1:]) for name, value in seen.items()} == {
        "regions": (8, 4, 4),
        "places": (1, 4, 4),
        "landmarks": (1, 4, 4),
    }
    unmasked = parts[2](parts[1](parts[0](x).features)[0])
    same = torch.isclose(out, unmasked).flatten(1).all(1)
    assert same.tolist() == ([False, False, True] if sigma else [True] * 3)
    nothing, seen = FacialStack(None, None, None, image_size=64, sigma=sigma)(x, landmarks, valid)
    assert torch.equal(nothing, x) and seen == {}
