"""What holds for every mixer by name, and the two that do not learn at test time."""

import pytest
import torch
from torch import nn

from auharness.errors import UsageError
from auharness.nn.mixers import MIXERS, TTTMLP, Attention, BiMamba, BiTTT, Linear, Mamba, Mamba2, TTTLinear


def tokens(*shape):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(3))


@pytest.mark.parametrize("name", MIXERS)
@pytest.mark.parametrize("length", [1, 13, 17])
def test_a_mixer_keeps_the_shape_and_treats_samples_alone(name, length):
    torch.manual_seed(0)
    mixer = MIXERS[name](24, heads=2)
    x = tokens(3, length, 24)
    out = mixer(x)
    assert out.shape == x.shape
    torch.testing.assert_close(mixer(x[1:2]), out[1:2])


@pytest.mark.parametrize("name", MIXERS)
def test_the_state_dict_carries_the_function(name):
    first, second = (MIXERS[name](24, heads=2) for _ in range(2))
    second.load_state_dict(first.state_dict())
    x = tokens(2, 9, 24)
    torch.testing.assert_close(second(x), first(x), rtol=0, atol=0)


def test_attention_equals_torch_multihead_attention():
    torch.manual_seed(0)
    layer, outside = Attention(24, heads=3), nn.MultiheadAttention(24, 3, batch_first=True)
    outside.load_state_dict(
        {
            "in_proj_weight": layer.qkv.weight,
            "in_proj_bias": layer.qkv.bias,
            "out_proj.weight": layer.proj.weight,
            "out_proj.bias": layer.proj.bias,
        }
    )
    x = tokens(2, 9, 24)
    torch.testing.assert_close(layer(x), outside(x, x, x, need_weights=False)[0])


def test_attention_of_vit_s_has_0_591_million_parameters():
    assert sum(p.numel() for p in Attention(384, heads=6).parameters()) == 4 * 384**2 + 4 * 384


def test_attention_names_heads_that_do_not_fit():
    with pytest.raises(UsageError, match="expected a multiple of heads = 7"):
        Attention(24, heads=7)


def test_linear_mixes_no_tokens():
    layer, x = Linear(8), tokens(1, 5, 8)
    changed = x.clone()
    changed[:, 2] += 1
    same = torch.isclose(layer(changed), layer(x)).all(-1)[0]
    assert same.tolist() == [True, True, False, True, True]


@pytest.mark.parametrize("mixer", [TTTLinear, TTTMLP, Mamba, Mamba2])
@pytest.mark.parametrize("direction", ["both", "backward"])
def test_a_mixer_of_one_scan_names_those_of_two(mixer, direction):
    message = f"direction is '{direction}', expected forward or reverse; BiTTT and BiMamba scan both ways"
    with pytest.raises(UsageError, match=message):
        mixer(24, heads=2, direction=direction)


@pytest.mark.parametrize("mixer", [TTTLinear, TTTMLP, BiTTT])
@pytest.mark.parametrize("mini_batch", [0, -1])
def test_a_mini_batch_of_no_token_is_refused_at_once(mixer, mini_batch):
    with pytest.raises(UsageError, match=f"mini_batch is {mini_batch}, expected at least 1"):
        mixer(24, heads=2, mini_batch=mini_batch)


@pytest.mark.parametrize("rope", [True, False])
@pytest.mark.parametrize("direction", ["forward", "reverse"])
@pytest.mark.parametrize("mixer", [TTTLinear, TTTMLP, BiTTT, Mamba, BiMamba, Mamba2])
def test_a_sequence_shorter_than_its_suffix_is_one_clear_error(mixer, direction, rope):
    options = {} if mixer in (BiTTT, BiMamba) else {"direction": direction}
    options |= {"rope": rope} if mixer in (TTTLinear, TTTMLP, BiTTT) else {}
    layer = mixer(24, heads=2, suffix=6, **options)
    with pytest.raises(UsageError, match=r"^mixer: suffix is 6, expected 0 to 5, the number of tokens$"):
        layer(torch.randn(1, 5, 24))
    assert layer(torch.randn(1, 6, 24)).isfinite().all()
