import torch

from auharness.nn.mixers import TTTMLP
from auharness.ops.scan import reverse_tokens


def tokens(*shape):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(3))


def test_vit_s_with_14_tokens_per_row_has_0_792_million_parameters():
    # 4 projections, gate, 14 scales, two inner layers, inner and outer normalisation
    inner = 6 * (64 * 256 + 256 + 256 * 64 + 64)
    expected = 4 * 384**2 + (384 * 6 + 6) + 14 + inner + 2 * 384 + 2 * 384
    assert expected == 792_212
    assert sum(p.numel() for p in TTTMLP(384, heads=6, mini_batch=14).parameters()) == expected


def test_the_inner_learning_rate_is_a_tenth_over_the_width_of_a_head_times_its_gate():
    layer = TTTMLP(8, heads=2)
    torch.nn.init.zeros_(layer.lr_gate.weight)
    *_, lr = layer.project(tokens(1, 3, 8))
    torch.testing.assert_close(lr, torch.full((1, 2, 3), 0.1 * 0.5 / 4))


def test_every_parameter_gets_a_finite_gradient():
    layer = TTTMLP(24, heads=3, mini_batch=4)
    layer(tokens(2, 9, 24)).square().sum().backward()
    for name, parameter in layer.named_parameters():
        assert parameter.grad is not None and parameter.grad.isfinite().all() and parameter.grad.abs().max() > 0, name


def test_a_reverse_layer_reads_what_a_forward_layer_reads_of_the_reversed_patches():
    forward, reverse = (TTTMLP(16, heads=2, mini_batch=4, direction=d, suffix=1) for d in ("forward", "reverse"))
    reverse.load_state_dict(forward.state_dict())
    x = tokens(2, 10, 16)
    truth = reverse_tokens(forward(reverse_tokens(x, suffix=1)), suffix=1)
    torch.testing.assert_close(reverse(x), truth)
