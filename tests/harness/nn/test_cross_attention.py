import pytest
import torch
from torch import nn

from auharness.errors import UsageError
from auharness.nn.cross_attention import CrossAttention, SoundAttention


def test_cross_attention_is_torchs_multi_head_attention():
    ours = CrossAttention(24, heads=4).double()
    theirs = nn.MultiheadAttention(24, 4, bias=False, batch_first=True, dtype=torch.float64)
    stacked = torch.cat((ours.query.weight, ours.key.weight, ours.value.weight))
    theirs.load_state_dict({"in_proj_weight": stacked, "out_proj.weight": ours.out.weight})
    queries, context = torch.randn(2, 7, 24).double(), torch.randn(2, 30, 24).double()
    found, weights = ours(queries, context)
    wanted, wanted_weights = theirs(queries, context, context)
    torch.testing.assert_close(found, wanted)
    torch.testing.assert_close(weights, wanted_weights)


def test_cross_attention_refuses_heads_that_do_not_fit():
    with pytest.raises(UsageError, match="multiple of heads"):
        CrossAttention(24, heads=5)


def test_a_frame_hears_only_the_second_around_it():
    module = SoundAttention(8, heads=2).double()
    frames, tokens = torch.randn(1, 3, 8).double(), torch.randn(1, 250, 8).double()
    valid = torch.ones(1, 250, dtype=torch.bool)
    times = torch.tensor([[0.5, 2.5, 4.0]]).double()
    heard = module(frames, tokens, valid, times, first_s=0.0)
    # 2.5 s +- 1 s are tokens 75 to 175
    near = tokens[:, 75:176]
    wanted, _ = module.attention(frames[:, 1:2], near)
    torch.testing.assert_close(heard[:, 1:2], wanted)
    changed = tokens.clone()
    changed[:, 176:] += 1
    torch.testing.assert_close(module(frames, changed, valid, times, first_s=0.0)[:, :2], heard[:, :2])
    assert not module(frames, tokens, ~valid, times, first_s=0.0).any()
