"""Both backends against the literal algorithm: gradient descent on the reconstruction loss, by autograd, per token."""

import pytest
import torch
from torch.nn import functional as F

from auharness.ops.ttt_mlp import ttt_mlp

BACKENDS = ["reference", "torch"]
SIZES = [  # token, mini_batch, d
    *((1, mini_batch, d) for mini_batch in (1, 7, 14, 16) for d in (8, 64)),
    *((7, mini_batch, d) for mini_batch in (1, 7, 14, 16) for d in (8, 64)),
    *((37, mini_batch, d) for mini_batch in (1, 7, 14, 16, 37) for d in (8, 64)),
    *(
        pytest.param(197, mini_batch, d, marks=pytest.mark.nightly)
        for mini_batch in (1, 7, 14, 16, 197)
        for d in (8, 64)
    ),
]


def descend(arguments, *, mini_batch, eps):
    """Train the inner model token by token and read it with each query; no matrix form, no formula for a gradient.

    Every batch entry and head has a model of its own, so the gradient of the summed loss is that of each.
    """
    q, k, v, lr, token_scale, *models, ln_weight, ln_bias = arguments
    models = [x if x.ndim == 4 else x.expand(len(q), *x.shape) for x in models]
    answers = []

    def norm(z):
        return F.layer_norm(z, z.shape[-1:], eps=eps) * ln_weight + ln_bias

    def answer(x, w1, b1, w2, b2):
        hidden = F.gelu(x[:, :, None] @ w1 + b1, approximate="tanh")
        return norm((hidden @ w2 + b2)[:, :, 0])

    for start in range(0, q.shape[2], mini_batch):
        total = [torch.zeros_like(x) for x in models]
        for position, t in enumerate(range(start, min(start + mini_batch, q.shape[2]))):
            loss = 0.5 * (answer(k[:, :, t], *models) - (v[:, :, t] - k[:, :, t])).square().sum()
            steps = torch.autograd.grad(loss, models, create_graph=True)
            total = [x + lr[:, :, t, None, None] * step for x, step in zip(total, steps, strict=True)]
            seen = [x - token_scale[position] * step for x, step in zip(models, total, strict=True)]
            answers.append(q[:, :, t] + answer(q[:, :, t], *seen))
        models = seen
    return torch.stack(answers, 2), *models


@pytest.mark.parametrize(("token", "mini_batch", "d"), SIZES)
def test_equals_gradient_descent_on_the_reconstruction_loss(problem, results, token, mini_batch, d):
    heads = 2 if d == 8 else 1
    arguments = problem(heads, heads, token, d, mini_batch, batched_state=token % 2 == 0)
    truth = results(lambda arguments: descend(arguments, mini_batch=mini_batch, eps=1e-6), arguments)
    for backend in BACKENDS:

        def operator(arguments, backend=backend):
            out, state = ttt_mlp(*arguments, mini_batch=mini_batch, backend=backend, return_state=True)
            return out, *state

        for name, value in results(operator, arguments).items():
            error = (value - truth[name]).norm() / truth[name].norm()
            assert error < 1e-10, f"{backend}: {name} is off by {error:.1e}"


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("hidden", [1, 5, 24])
def test_takes_any_hidden_width_and_eps(problem, results, hidden, backend):
    arguments = problem(2, 2, 8, 6, 3, hidden=hidden, batched_state=True)

    def operator(arguments):
        out, state = ttt_mlp(*arguments, mini_batch=3, eps=1e-3, backend=backend, return_state=True)
        return out, *state

    truth = results(lambda arguments: descend(arguments, mini_batch=3, eps=1e-3), arguments)
    for name, value in results(operator, arguments).items():
        assert (value - truth[name]).norm() / truth[name].norm() < 1e-10, name


@pytest.mark.parametrize("backend", BACKENDS)
def test_without_learning_the_answer_is_that_of_the_first_state(problem, backend):
    arguments = problem(2, 3, 9, 8, 4)
    q, _, _, lr, _, w1, b1, w2, b2, ln_weight, ln_bias = arguments
    arguments[3] = torch.zeros_like(lr)
    out, state = ttt_mlp(*arguments, mini_batch=4, backend=backend, return_state=True)
    hidden = F.gelu(q @ w1 + b1, approximate="tanh")
    answer = F.layer_norm(hidden @ w2 + b2, (8,), eps=1e-6) * ln_weight[:, None] + ln_bias[:, None]
    torch.testing.assert_close(out, q + answer)
    for after, before in zip(state, (w1, b1, w2, b2), strict=True):
        torch.testing.assert_close(after, before.expand_as(after))


@pytest.mark.parametrize("backend", BACKENDS)
def test_a_token_never_sees_a_later_one(problem, backend):
    arguments = problem(1, 1, 11, 4, 4)
    before = ttt_mlp(*arguments, mini_batch=4, backend=backend)
    changed = [x.detach().clone() for x in arguments]
    for x in changed[:4]:
        x[:, :, 6:] *= -2
    after = ttt_mlp(*changed, mini_batch=4, backend=backend)
    torch.testing.assert_close(after[:, :, :6], before[:, :, :6], rtol=0, atol=0)
    assert (after[:, :, 6:] - before[:, :, 6:]).abs().min() > 1e-6
