import math

import pytest
import torch
from torch.nn import functional as F

from auharness.errors import UsageError
from auharness.nn.mixers import TTTLinear
from auharness.nn.mixers.heads import rotate
from auharness.ops.scan import reverse_tokens


def tokens(*shape):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(3))


def test_vit_s_with_14_tokens_per_row_has_0_619_million_parameters():
    # 4 projections, gate, 14 scales, state and bias, inner and outer normalisation
    expected = 4 * 384**2 + (384 * 6 + 6) + 14 + 6 * (64 * 64 + 64) + 2 * 384 + 2 * 384
    assert expected == 618_644
    assert sum(p.numel() for p in TTTLinear(384, heads=6, mini_batch=14).parameters()) == expected


def test_the_first_token_by_hand():
    torch.manual_seed(0)
    layer = TTTLinear(8, heads=2, mini_batch=4)
    x = tokens(1, 1, 8)
    q, k, v = (proj(x).view(2, 4) for proj in (layer.q_proj, layer.k_proj, layer.v_proj))
    lr = torch.sigmoid(layer.lr_gate(x)).view(2) / 4
    answers = []
    for h in range(2):
        w, b = layer.w0[h].detach().requires_grad_(), torch.zeros(4, requires_grad=True)
        loss = 0.5 * (F.layer_norm(k[h] @ w + b, (4,), eps=1e-6) - (v[h] - k[h])).square().sum()
        w_step, b_step = torch.autograd.grad(loss, (w, b), retain_graph=True)
        answers.append(q[h] + F.layer_norm(q[h] @ (w - lr[h] * w_step) + b - lr[h] * b_step, (4,), eps=1e-6))
    expected = layer.o_proj(F.layer_norm(torch.cat(answers), (8,), eps=1e-6))
    torch.testing.assert_close(layer(x)[0, 0], expected)


def test_every_parameter_gets_a_finite_gradient():
    layer = TTTLinear(24, heads=3, mini_batch=4)
    layer(tokens(2, 9, 24)).square().sum().backward()
    for name, parameter in layer.named_parameters():
        assert parameter.grad is not None and parameter.grad.isfinite().all() and parameter.grad.abs().max() > 0, name


def test_a_reverse_layer_reads_what_a_forward_layer_reads_of_the_reversed_patches():
    forward, reverse = (TTTLinear(16, heads=2, mini_batch=4, direction=d, suffix=1) for d in ("forward", "reverse"))
    reverse.load_state_dict(forward.state_dict())
    x = tokens(2, 10, 16)
    truth = reverse_tokens(forward(reverse_tokens(x, suffix=1)), suffix=1)
    torch.testing.assert_close(reverse(x), truth)


def test_token_scale_starts_at_one_over_rank_and_stays_positive():
    layer = TTTLinear(8, heads=2, mini_batch=4)
    torch.testing.assert_close(layer.token_scale(), torch.tensor([1, 1 / 2, 1 / 3, 1 / 4]))
    layer.scale_offset.data[1] = -3
    assert layer.token_scale()[1] == 0


def test_positions_restart_with_the_period():
    torch.manual_seed(0)
    layer = TTTLinear(8, heads=2, mini_batch=3, rope_period=3)
    same = tokens(1, 1, 8).expand(1, 6, 8)
    q, k, *_ = layer.project(same)
    q, k = layer.place(q, k, reverse=False, suffix=0)
    torch.testing.assert_close(q[:, :, :3], q[:, :, 3:])
    assert not torch.allclose(k[:, :, 0], k[:, :, 1])
    off = TTTLinear(8, heads=2, mini_batch=3, rope=False)
    q, k, *_ = off.project(same)
    assert off.place(q, k, reverse=False, suffix=0)[0] is q


def test_rotary_turns_neighbouring_channels_by_the_angle_of_their_position():
    x = tokens(5, 6).double()
    turned = rotate(x, torch.arange(5))
    as_complex = torch.view_as_complex(x.view(5, 3, 2))
    for t in range(5):
        for i in range(3):
            angle = t * 10_000 ** (-2 * i / 6)
            expected = as_complex[t, i] * complex(math.cos(angle), math.sin(angle))
            torch.testing.assert_close(torch.complex(*turned[t].view(3, 2)[i]), expected, rtol=0, atol=1e-14)


@pytest.mark.parametrize(
    ("dim", "heads", "message"),
    [
        (10, 3, "dim is 10, expected a multiple of heads = 3"),
        (6, 2, "3 channels, rotary positions need an even number"),
    ],
)
def test_heads_that_do_not_fit_are_named(dim, heads, message):
    with pytest.raises(UsageError, match=message):
        TTTLinear(dim, heads=heads)


def test_the_backends_agree():
    torch.manual_seed(0)
    fast, plain = (TTTLinear(16, heads=2, mini_batch=4, backend=backend) for backend in ("torch", "reference"))
    plain.load_state_dict(fast.state_dict())
    x = tokens(2, 10, 16)
    torch.testing.assert_close(fast(x), plain(x))
