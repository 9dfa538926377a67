import math

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from auharness.nn.mixers import BiMamba, Mamba, mamba
from auharness.ops.scan import reverse_tokens
from auharness.ops.selective_scan import selective_scan


def tokens(*shape):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(3))


def shaken(module):
    """Give every parameter a value of its own: what starts at one or zero would hide an exchange."""
    generator = torch.Generator().manual_seed(5)
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.add_(0.1 * torch.randn(parameter.shape, generator=generator))
    return module


def of_both(part, direction):
    """Return the parameters of one direction of `BiMamba` under the names of `Mamba`."""
    state = part.state_dict()
    shared = {name: state[name] for name in ("in_proj.weight", "out_proj.weight")}
    names = ("conv1d.weight", "conv1d.bias", "x_proj.weight", "dt_proj.weight", "dt_proj.bias", "D")
    if direction == "forward":
        return shared | {name: state[name] for name in (*names, "A_log")}
    renamed = {name: state[name.replace(".", "_b.") if "." in name else f"{name}_b"] for name in names}
    return shared | renamed | {"A_log": state["A_b_log"]}


@pytest.fixture
def mixer_of_transformers(from_transformers):
    """Make transformers' layer for the sizes of `Mamba(dim)`."""

    def make(dim, state_size=16, dt_rank=None):
        config = from_transformers("mamba", "MambaConfig")(
            hidden_size=dim, state_size=state_size, time_step_rank=dt_rank or "auto", num_hidden_layers=1
        )
        return from_transformers("mamba", "MambaMixer")(config, layer_idx=0).eval()

    return make


@pytest.mark.parametrize(("state_size", "dt_rank"), [(16, None), (5, 3)])
def test_equals_transformers_with_the_same_weights(mixer_of_transformers, state_size, dt_rank):
    layer = shaken(Mamba(24, state_size=state_size, dt_rank=dt_rank))
    outside = mixer_of_transformers(24, state_size, dt_rank)
    outside.load_state_dict(layer.state_dict())
    x = tokens(2, 37, 24).requires_grad_()
    along = torch.randn(2, 37, 24)
    out, truth = layer(x), outside(x)
    torch.testing.assert_close(out, truth, rtol=1e-5, atol=1e-6)
    theirs = dict(outside.named_parameters())
    ours = torch.autograd.grad((out * along).sum(), (x, *layer.parameters()))
    expected = torch.autograd.grad((truth * along).sum(), (x, *(theirs[name] for name, _ in layer.named_parameters())))
    for value, gradient in zip(ours, expected, strict=True):
        assert (value - gradient).norm() <= 1e-5 * gradient.norm()


def test_a_reverse_layer_reads_what_a_forward_layer_reads_of_the_reversed_patches():
    forward, reverse = (Mamba(16, direction=direction, suffix=1) for direction in ("forward", "reverse"))
    reverse.load_state_dict(forward.state_dict())
    x = tokens(2, 10, 16)
    truth = reverse_tokens(forward(reverse_tokens(x, suffix=1)), suffix=1)
    torch.testing.assert_close(reverse(x), truth)


@pytest.mark.parametrize("suffix", [0, 1])
def test_both_directions_are_algorithm_1_of_vision_mamba(mixer_of_transformers, suffix):
    # the output projection is linear, so the sum of two whole layers is the layer of the sum
    layer = shaken(BiMamba(24, suffix=suffix))
    there, back = mixer_of_transformers(24), mixer_of_transformers(24)
    there.load_state_dict(of_both(layer, "forward"))
    back.load_state_dict(of_both(layer, "reverse"))
    x = tokens(2, 10, 24)
    truth = there(x) + reverse_tokens(back(reverse_tokens(x, suffix=suffix)), suffix=suffix)
    torch.testing.assert_close(layer(x), truth, rtol=1e-5, atol=1e-6)


def test_both_directions_are_one_call_of_the_operator(monkeypatch):
    calls = []

    def scan(*tensors, **options):
        calls.append((options["direction"], options["suffix"]))
        return selective_scan(*tensors, **options)

    monkeypatch.setattr(mamba, "selective_scan", scan)
    BiMamba(16)(tokens(2, 5, 16))
    assert calls == [("both", 1)]


def test_cls_stays_last_and_sees_every_patch_in_both_directions():
    layer = BiMamba(16)
    x = tokens(1, 10, 16).requires_grad_()
    for skip in (layer.D, layer.D_b):
        skip.data.zero_()
    (seen,) = torch.autograd.grad(layer(x)[0, -1].sum(), x)
    assert (seen[0].abs().amax(-1) > 0).all()
    (seen_by_patch,) = torch.autograd.grad(layer(x)[0, 4].sum(), x)
    assert seen_by_patch[0, -1].abs().max() == 0
    assert (seen_by_patch[0, :-1].abs().amax(-1) > 0).all()


def test_step_sizes_decay_and_skip_start_as_in_the_paper():
    layer = Mamba(384)
    steps = F.softplus(layer.dt_proj.bias.detach())
    assert steps.min() >= 1e-3 * (1 - 1e-4) and steps.max() <= 1e-1 * (1 + 1e-4)
    # log-uniform: half of them lie below the geometric mean of the bounds
    assert abs((steps < 1e-2).float().mean() - 0.5) < 0.07
    assert layer.dt_proj.weight.abs().max() <= 24**-0.5
    assert layer.dt_proj.weight.std().item() == pytest.approx(24**-0.5 / math.sqrt(3), rel=0.05)
    torch.testing.assert_close(layer.A_log.exp(), torch.arange(1.0, 17).expand(768, 16))
    assert (layer.D == 1).all()


@pytest.mark.parametrize(
    ("layer", "expected"),
    [
        # projections in and out, convolution, selection, steps, decay and skip
        (Mamba, 384 * 1536 + 768 * 384 + 768 * 5 + 768 * 56 + 24 * 768 + 768 + 768 * 16 + 768),
        (BiMamba, 384 * 1536 + 768 * 384 + 2 * (768 * 5 + 768 * 56 + 24 * 768 + 768 + 768 * 16 + 768)),
    ],
)
def test_the_size_of_vit_s_has_as_many_parameters(layer, expected):
    assert sum(p.numel() for p in layer(384, heads=6).parameters()) == expected


@pytest.mark.parametrize("layer", [Mamba, BiMamba])
def test_every_parameter_gets_a_finite_gradient(layer):
    layer = layer(24)
    layer(tokens(2, 9, 24)).square().sum().backward()
    for name, parameter in layer.named_parameters():
        assert parameter.grad is not None and parameter.grad.isfinite().all() and parameter.grad.abs().max() > 0, name


@pytest.mark.parametrize("layer", [Mamba, BiMamba])
@pytest.mark.parametrize("discretization", ["euler", "zoh"])
def test_the_backends_agree(layer, discretization):
    fast, plain = (layer(16, discretization=discretization, backend=name) for name in (None, "reference"))
    plain.load_state_dict(fast.state_dict())
    x = tokens(2, 10, 16)
    torch.testing.assert_close(fast(x), plain(x))


def test_half_precision_keeps_close_to_float32():
    layer, x = Mamba(32), tokens(2, 20, 32)
    truth = layer(x)
    with torch.autocast("cpu", torch.bfloat16):
        out = layer(x)
    assert out.dtype == torch.bfloat16
    assert (out.float() - truth).norm() < 2e-2 * truth.norm()
    whole = nn.Sequential(layer).bfloat16()(x.bfloat16())
    assert (whole.float() - truth).norm() < 3e-2 * truth.norm()
