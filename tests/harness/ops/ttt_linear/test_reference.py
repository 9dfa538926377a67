"""The reference against the literal algorithm: gradient descent on the reconstruction loss, by autograd, per token."""

import pytest
import torch
from torch.nn import functional as F

from auharness.ops.ttt_linear import ttt_linear


def descend(arguments, *, mini_batch, eps):
    """Train the inner model token by token and read it with each query; no matrix form, no formula for a gradient."""
    q, k, v, lr, token_scale, w0, b0, ln_weight, ln_bias = arguments
    batch, head, token, d = q.shape
    out, w_last, b_last = torch.empty_like(q), [], []
    for i in range(batch):
        for h in range(head):

            def norm(z, h=h):
                return F.layer_norm(z, (d,), ln_weight[h], ln_bias[h], eps)

            w, b = (x[i, h] if x.ndim == 4 else x[h] for x in (w0, b0))
            for start in range(0, token, mini_batch):
                w_sum, b_sum = torch.zeros_like(w), torch.zeros_like(b)
                for position, t in enumerate(range(start, min(start + mini_batch, token))):
                    loss = 0.5 * (norm(k[i, h, t] @ w + b[0]) - (v[i, h, t] - k[i, h, t])).square().sum()
                    w_step, b_step = torch.autograd.grad(loss, (w, b), create_graph=True)
                    w_sum, b_sum = w_sum + lr[i, h, t] * w_step, b_sum + lr[i, h, t] * b_step
                    w_seen, b_seen = w - token_scale[position] * w_sum, b - token_scale[position] * b_sum
                    out[i, h, t] = q[i, h, t] + norm(q[i, h, t] @ w_seen + b_seen[0])
                w, b = w_seen, b_seen
            w_last.append(w)
            b_last.append(b)
    return out, torch.stack(w_last).view(batch, head, d, d), torch.stack(b_last).view(batch, head, 1, d)


@pytest.mark.parametrize("backend", ["reference", "torch"])
@pytest.mark.parametrize(
    ("token", "mini_batch", "batched_state"), [(1, 3, False), (6, 3, True), (7, 3, False), (5, 1, True), (4, 9, False)]
)
def test_equals_gradient_descent_on_the_reconstruction_loss(
    problem, results, token, mini_batch, batched_state, backend
):
    arguments = problem(2, 2, token, 4, mini_batch, batched_state=batched_state)

    def operator(arguments):
        out, state = ttt_linear(*arguments, mini_batch=mini_batch, eps=1e-5, backend=backend, return_state=True)
        return out, *state

    truth = results(lambda arguments: descend(arguments, mini_batch=mini_batch, eps=1e-5), arguments)
    for name, value in results(operator, arguments).items():
        torch.testing.assert_close(value, truth[name], rtol=1e-9, atol=1e-11, msg=lambda text, name=name: name + text)


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
