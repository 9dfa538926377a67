import pytest
import torch
from torch.nn import functional as F

from auharness.errors import UsageError
from auharness.nn.mixers import Mamba2
from auharness.ops.scan import reverse_tokens


def tokens(*shape):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(3))


def shaken(module):
    """Give every parameter a value of its own: what starts at one would hide an exchange."""
    generator = torch.Generator().manual_seed(5)
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.add_(0.1 * torch.randn(parameter.shape, generator=generator))
    return module


@pytest.mark.parametrize(("heads", "state_size", "length"), [(4, 16, 37), (3, 8, 70), (48, 4, 5)])
def test_equals_transformers_with_the_same_weights(from_transformers, heads, state_size, length):
    layer = shaken(Mamba2(24, heads=heads, state_size=state_size))
    config = from_transformers("mamba2", "Mamba2Config")(
        hidden_size=24, num_heads=heads, head_dim=48 // heads, state_size=state_size, n_groups=1, chunk_size=16,
        num_hidden_layers=1,
    )  # fmt: skip
    outside = from_transformers("mamba2", "Mamba2Mixer")(config, layer_idx=0).eval()
    outside.load_state_dict(layer.state_dict())
    x = tokens(2, length, 24).requires_grad_()
    along = torch.randn(2, length, 24)
    out, truth = layer(x), outside(x)
    assert (out - truth).norm() <= 1e-5 * truth.norm()
    theirs = dict(outside.named_parameters())
    ours = torch.autograd.grad((out * along).sum(), (x, *layer.parameters()))
    expected = torch.autograd.grad((truth * along).sum(), (x, *(theirs[name] for name, _ in layer.named_parameters())))
    for value, gradient in zip(ours, expected, strict=True):
        assert (value - gradient).norm() <= 2e-5 * gradient.norm()


def test_a_reverse_layer_reads_what_a_forward_layer_reads_of_the_reversed_patches():
    forward, reverse = (Mamba2(16, heads=2, direction=name, suffix=1) for name in ("forward", "reverse"))
    reverse.load_state_dict(forward.state_dict())
    x = tokens(2, 10, 16)
    truth = reverse_tokens(forward(reverse_tokens(x, suffix=1)), suffix=1)
    torch.testing.assert_close(reverse(x), truth)


def test_starts_as_the_authors_layer():
    layer = Mamba2(384, heads=96)
    steps, rates = F.softplus(layer.dt_bias.detach()), layer.A_log.detach().exp()
    assert steps.min() >= 1e-3 * (1 - 1e-4) and steps.max() <= 1e-1 * (1 + 1e-4)
    assert rates.min() >= 1 and rates.max() <= 16 * (1 + 1e-6) and rates.std() > 3
    assert (layer.D == 1).all() and (layer.norm.weight == 1).all()


def test_the_size_of_vit_s_has_as_many_parameters():
    # projections in and out, convolution of input and both weights, decay, step and skip of each head, norm
    expected = 384 * (2 * 768 + 2 * 128 + 12) + 768 * 384 + (768 + 256) * 5 + 3 * 12 + 768
    assert sum(p.numel() for p in Mamba2(384, heads=12).parameters()) == expected


def test_every_parameter_gets_a_finite_gradient():
    layer = Mamba2(24, heads=3)
    layer(tokens(2, 9, 24)).square().sum().backward()
    for name, parameter in layer.named_parameters():
        assert parameter.grad is not None and parameter.grad.isfinite().all() and parameter.grad.abs().max() > 0, name


def test_the_backends_agree():
    fast, plain = (Mamba2(16, heads=2, backend=name) for name in ("torch", "reference"))
    plain.load_state_dict(fast.state_dict())
    x = tokens(2, 70, 16)
    torch.testing.assert_close(fast(x), plain(x))


def test_half_precision_keeps_close_to_float32():
    layer, x = Mamba2(32, heads=2), tokens(2, 20, 32)
    truth = layer(x)
    with torch.autocast("cpu", torch.bfloat16):
        out = layer(x)
    assert out.dtype == torch.bfloat16
    assert (out.float() - truth).norm() < 2e-2 * truth.norm()
    whole = layer.bfloat16()(x.bfloat16())
    assert whole.dtype == torch.bfloat16
    assert (whole.float() - truth).norm() < 3e-2 * truth.norm()


def test_heads_that_do_not_fit_are_named():
    with pytest.raises(UsageError, match=r"expand \* dim is 48, expected a multiple of heads = 7"):
        Mamba2(24, heads=7)
