"""Both TTT layers as modules against a computation that shares no code with them: one token, one head at a time.

Rotary positions are products of complex numbers, normalisation is written out, the inner model learns by autograd.
"""

import cmath
import math

import pytest
import torch

from auharness.nn.mixers import TTTMLP, TTTLinear

LINEAR = (TTTLinear, 1.0, ("w0", "b0"))
MLP = (TTTMLP, 0.1, ("w1", "b1", "w2", "b2"))


def normal(x, weight, bias):
    centred = x - x.mean()
    return centred / torch.sqrt((centred * centred).mean() + 1e-6) * weight + bias


def turned(x, position):
    turns = [cmath.exp(1j * position / 10_000 ** (2 * i / len(x))) for i in range(len(x) // 2)]
    rotated = [torch.complex(x[2 * i], x[2 * i + 1]) * turn for i, turn in enumerate(turns)]
    return torch.stack([part for z in rotated for part in (z.real, z.imag)])


def answer(model, x):
    """Return what the inner model makes of `x [d]`: `w x + b`, twice with GELU between for the MLP."""
    x = x @ model[0] + model[1][0]
    if len(model) == 4:
        gelu = 0.5 * x * (1 + torch.tanh(math.sqrt(2 / math.pi) * (x + 0.044715 * x**3)))
        x = gelu @ model[2] + model[3][0]
    return x


def read_head(p, h, x, names, *, base_lr, order, mini_batch, period):
    """Return the answers to the tokens of one sequence `[L,dim]`, read in `order`, in the order given."""
    d = p["ln_weight"].shape[1]
    rows = slice(h * d, (h + 1) * d)
    weight, bias = p["ln_weight"][h], p["ln_bias"][h]
    model, answers = [p[name][h] for name in names], {}
    for start in range(0, len(order), mini_batch):
        total = [torch.zeros_like(part) for part in model]
        for position, t in enumerate(order[start : start + mini_batch]):
            q, k, v = (p[f"{name}_proj.weight"][rows] @ x[t] for name in "qkv")
            if period:
                q, k = turned(q, (start + position) % period), turned(k, (start + position) % period)
            lr = base_lr / d / (1 + torch.exp(-(p["lr_gate.weight"][h] @ x[t] + p["lr_gate.bias"][h])))
            error = normal(answer(model, k), weight, bias) - (v - k)
            steps = torch.autograd.grad(0.5 * (error * error).sum(), model, create_graph=True)
            total = [so_far + lr * step for so_far, step in zip(total, steps, strict=True)]
            share = torch.relu(1 / (position + 1) + p["scale_offset"][position])
            seen = [part - share * step for part, step in zip(model, total, strict=True)]
            answers[t] = q + normal(answer(seen, q), weight, bias)
        model = seen
    return [answers[t] for t in range(len(order))]


def by_hand(layer, x, names, *, base_lr, order, mini_batch, period):
    p = dict(layer.named_parameters())
    scan = {"base_lr": base_lr, "order": order, "mini_batch": mini_batch, "period": period}
    out = []
    for sequence in x:
        heads = [read_head(p, h, sequence, names, **scan) for h in range(len(p["ln_weight"]))]
        joined = [torch.cat(parts) for parts in zip(*heads, strict=True)]
        out.append([p["o_proj.weight"] @ normal(y, p["post_norm.weight"], p["post_norm.bias"]) for y in joined])
    return torch.stack([torch.stack(rows) for rows in out])


@pytest.mark.parametrize("backend", ["torch", "reference"])
@pytest.mark.parametrize(("kind", "base_lr", "names"), [LINEAR, MLP], ids=["linear", "mlp"])
@pytest.mark.parametrize(
    ("length", "mini_batch", "options"),
    [
        (9, 4, {}),
        (7, 1, {}),
        (5, 16, {"rope": False}),
        (9, 4, {"rope_period": 3}),
        (9, 4, {"direction": "reverse", "suffix": 1}),
    ],
    ids=str,
)
def test_equals_the_layer_by_hand(kind, base_lr, names, length, mini_batch, options, backend):
    torch.manual_seed(0)
    layer = kind(8, heads=2, mini_batch=mini_batch, backend=backend, **options).double()
    for parameter in layer.parameters():  # far from where they start, so that each one counts
        torch.nn.init.normal_(parameter, mean=0.2, std=0.6)
    x = torch.randn(2, length, 8, dtype=torch.float64, requires_grad=True)
    order = list(range(length))
    if options.get("direction") == "reverse":
        order = [*reversed(order[:-1]), order[-1]]
    period = options.get("rope_period", mini_batch) if options.get("rope", True) else None
    truth = by_hand(layer, x, names, base_lr=base_lr, order=order, mini_batch=mini_batch, period=period)
    out = layer(x)
    tensors = {"x": x} | dict(layer.named_parameters())
    weights = torch.randn(out.shape, dtype=torch.float64)
    expected = torch.autograd.grad((truth * weights).sum(), list(tensors.values()))
    found = torch.autograd.grad((out * weights).sum(), list(tensors.values()))
    pairs = {"out": (out, truth)} | dict(zip(tensors, zip(found, expected, strict=True), strict=True))
    for name, (value, true) in pairs.items():
        error = ((value - true).norm() / true.norm()).item()
        assert error < 1e-10, f"{name} is off by {error:.1e}"


@pytest.mark.parametrize("kind", [TTTLinear, TTTMLP])
@pytest.mark.parametrize("autocast", [False, True])
def test_half_precision_stays_half_and_near(kind, autocast):
    torch.manual_seed(0)
    layer, x = kind(16, heads=2, mini_batch=4), torch.randn(2, 9, 16)
    truth = layer(x)
    if autocast:
        with torch.autocast("cpu", torch.bfloat16):
            out = layer(x)
            out.float().square().sum().backward()  # inside, as some training loops do
        assert all(p.grad.isfinite().all() for p in layer.parameters())
    else:
        out = layer.bfloat16()(x.bfloat16())
    assert out.dtype == torch.bfloat16
    assert (out.float() - truth).norm() / truth.norm() < 0.02
