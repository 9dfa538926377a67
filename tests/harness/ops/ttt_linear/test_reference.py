"""The reference against the literal algorithm: gradient descent on the reconstruction loss, by autograd, per token."""

import pytest
import torch
from torch.nn import functional as F

from auharness.ops.ttt_linear import ttt_linear

SIZES = [  # token, mini_batch, d
    *((1, mini_batch, d) for mini_batch in (1, 7, 14, 16) for d in (8, 64)),
    *((7, mini_batch, d) for mini_batch in (1, 7, 14, 16) for d in (8, 64)),
    *((37, mini_batch, d) for mini_batch in (1, 7, 14, 16, 37) for d in (8, 64)),
    (197, 14, 64),
    *(
        pytest.param(197, mini_batch, d, marks=pytest.mark.nightly)
        for mini_batch in (1, 7, 14, 16, 197)
        for d in (8, 64)
        if (mini_batch, d) != (14, 64)
    ),
]


def descend(arguments, *, mini_batch, eps):
    """Train the inner model token by token and read it with each query; no matrix form, no formula for a gradient.

    Every batch entry and head has a model of its own, so the gradient of the summed loss is that of each.
    """
    q, k, v, lr, token_scale, *model, ln_weight, ln_bias = arguments
    model = [x if x.ndim == 4 else x.expand(len(q), *x.shape) for x in model]
    answers = []

    def answer(x, w, b):
        z = (x[:, :, None] @ w + b)[:, :, 0]
        return F.layer_norm(z, z.shape[-1:], eps=eps) * ln_weight + ln_bias

    for start in range(0, q.shape[2], mini_batch):
        total = [torch.zeros_like(x) for x in model]
        for position, t in enumerate(range(start, min(start + mini_batch, q.shape[2]))):
            loss = 0.5 * (answer(k[:, :, t], *model) - (v[:, :, t] - k[:, :, t])).square().sum()
            steps = torch.autograd.grad(loss, model, create_graph=True)
            total = [x + lr[:, :, t, None, None] * step for x, step in zip(total, steps, strict=True)]
            seen = [x - token_scale[position] * step for x, step in zip(model, total, strict=True)]
            answers.append(q[:, :, t] + answer(q[:, :, t], *seen))
        model = seen
    return torch.stack(answers, 2), *model


def measured(call, arguments):
    """Return the outputs, their gradients, and the gradients of the output alone, all of fixed random sums."""
    outputs = call(arguments)
    generator = torch.Generator().manual_seed(7)
    parts = [(x * torch.randn(x.shape, generator=generator, dtype=torch.float64)).sum() for x in outputs]
    full = torch.autograd.grad(sum(parts), arguments, retain_graph=True)
    return [*(x.detach() for x in outputs), *full, *torch.autograd.grad(parts[0], arguments)]


@pytest.mark.parametrize(("token", "mini_batch", "d"), SIZES)
def test_equals_gradient_descent_on_the_reconstruction_loss(problem, token, mini_batch, d):
    heads = 2 if d == 8 else 1
    arguments = problem(heads, heads, token, d, mini_batch, batched_state=token % 2 == 0)
    truth = measured(lambda arguments: descend(arguments, mini_batch=mini_batch, eps=1e-5), arguments)
    for backend in ("reference", "torch"):

        def operator(arguments, backend=backend):
            out, state = ttt_linear(*arguments, mini_batch=mini_batch, eps=1e-5, backend=backend, return_state=True)
            return out, *state

        for i, (value, true) in enumerate(zip(measured(operator, arguments), truth, strict=True)):
            error = (value - true).norm() / true.norm()
            assert error < 1e-10, f"{backend}: result {i} is off by {error:.1e}"


@pytest.mark.parametrize("backend", ["reference", "torch"])
def test_without_learning_the_answer_is_that_of_the_first_state(problem, backend):
    q, k, v, lr, token_scale, w0, b0, ln_weight, ln_bias = problem(2, 3, 9, 8, 4)
    out, (w, b) = ttt_linear(
        *(q, k, v, torch.zeros_like(lr), token_scale, w0, b0, ln_weight, ln_bias),
        mini_batch=4,
        backend=backend,
        return_state=True,
    )
    answer = F.layer_norm(q @ w0 + b0, (8,), eps=1e-6) * ln_weight[:, None] + ln_bias[:, None]
    torch.testing.assert_close(out, q + answer)
    torch.testing.assert_close(w, w0.expand_as(w))
    torch.testing.assert_close(b, b0.expand_as(b))


@pytest.mark.parametrize("backend", ["reference", "torch"])
def test_a_token_never_sees_a_later_one(problem, backend):
    arguments = problem(1, 1, 11, 4, 4)
    before = ttt_linear(*arguments, mini_batch=4, backend=backend)
    changed = [x.detach().clone() for x in arguments]
    for x in changed[:4]:
        x[:, :, 6:] *= -2
    after = ttt_linear(*changed, mini_batch=4, backend=backend)
    torch.testing.assert_close(after[:, :, :6], before[:, :, :6], rtol=0, atol=0)
    assert (after[:, :, 6:] - before[:, :, 6:]).abs().min() > 1e-6
