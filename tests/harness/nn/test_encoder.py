from functools import partial

import pytest
import torch
from torch import nn
from torch.nn import functional

from auharness.errors import UsageError
from auharness.nn.encoder import Block, Encoder, tokens_per_row
from auharness.nn.mixers import Attention
from auharness.nn.patch import PatchEmbed


def test_a_token_is_the_linear_projection_of_its_patch_row_by_row():
    embed = PatchEmbed(4, 5)
    image = torch.randn(1, 3, 12, 12)
    tokens = embed(image)
    assert tokens.shape == (1, 9, 5)
    second_row_last = image[0, :, 4:8, 8:12]
    expected = (embed.projection.weight * second_row_last).sum((1, 2, 3)) + embed.projection.bias
    torch.testing.assert_close(tokens[0, 5], expected, atol=1e-5, rtol=1e-5)


def test_the_class_token_is_last_and_every_token_has_its_position():
    encoder = Encoder([], image_size=8, patch=4, dim=6)
    encoder.norm = nn.Identity()
    nn.init.constant_(encoder.cls, 3.0)
    tokens = encoder(torch.zeros(2, 3, 8, 8))
    bias = encoder.patches.projection.bias
    torch.testing.assert_close(tokens[1, :-1], bias + encoder.positions[0, :-1])
    torch.testing.assert_close(tokens[1, -1], 3.0 + encoder.positions[0, -1])


def test_a_block_adds_the_mixer_then_the_mlp_each_on_a_normed_copy():
    block = Block(6, mixer=nn.Linear(6, 6), mlp_ratio=2)
    x = torch.randn(2, 3, 6)
    middle = x + block.mixer(block.norm1(x))
    torch.testing.assert_close(block(x), middle + block.mlp(block.norm2(middle)))


@pytest.mark.parametrize(("gelu", "eps", "qkv_bias"), [("tanh", 1e-5, False), ("none", 1e-2, True)])
def test_with_attention_a_block_is_torchs_pre_norm_encoder_layer(gelu, eps, qkv_bias):
    torch.manual_seed(0)
    ours = Block(8, mixer=Attention(8, heads=2, qkv_bias=qkv_bias), mlp_ratio=2.0, gelu=gelu, eps=eps).eval()
    theirs = nn.TransformerEncoderLayer(
        8,
        2,
        dim_feedforward=16,
        dropout=0.0,
        activation=partial(functional.gelu, approximate=gelu),
        layer_norm_eps=eps,
        batch_first=True,
        norm_first=True,
    ).eval()
    names = {
        "mixer.qkv.weight": "self_attn.in_proj_weight",
        "mixer.qkv.bias": "self_attn.in_proj_bias",
        "mixer.proj.": "self_attn.out_proj.",
        "mlp.0.": "linear1.",
        "mlp.2.": "linear2.",
    }
    with torch.no_grad():
        theirs.self_attn.in_proj_bias.zero_()
        for name, value in ours.named_parameters():
            for mine, other in names.items():
                if name.startswith(mine):
                    name = name.replace(mine, other)
            theirs.get_parameter(name).copy_(value + torch.rand(value.shape))
            value.copy_(theirs.get_parameter(name))
    x = torch.randn(2, 5, 8)
    torch.testing.assert_close(ours(x), theirs(x))
    assert (ours.mixer.qkv.bias is not None) == qkv_bias


def test_blocks_receive_the_context():
    class Shift(nn.Module):
        def forward(self, tokens, by):
            return tokens + by

    encoder = Encoder([Shift(), Shift()], image_size=8, patch=4, dim=2)
    encoder.norm = nn.Identity()
    image = torch.zeros(1, 3, 8, 8)
    step = encoder(image, torch.tensor([1.0, 5.0])) - encoder(image, torch.zeros(2))
    torch.testing.assert_close(step, torch.tensor([2.0, 10.0]).expand_as(step))


def test_a_patch_that_does_not_divide_the_crop_is_refused():
    assert [tokens_per_row(size, patch) for size, patch in ((224, 32), (224, 16), (224, 8), (56, 8))] == [7, 14, 28, 7]
    with pytest.raises(UsageError, match="crop of 100 px is no multiple of the patch of 16 px"):
        tokens_per_row(100, 16)


def test_fresh_positions_have_the_asked_deviation():
    torch.manual_seed(0)
    for std in (0.02, 0.5):
        encoder = Encoder([], image_size=64, patch=4, dim=16, position_std=std)
        assert encoder.positions.std().item() == pytest.approx(std, rel=0.05)
