"""Every backend against the recurrence written out for one head of one sample, and against code of others."""

import pytest
import torch

from auharness.ops.ssd import ssd

BACKENDS = ["reference", "torch"]
SIZES = [  # token, head, P, N
    (1, 3, 4, 5),
    (7, 2, 8, 3),
    (37, 3, 5, 8),
    (64, 2, 3, 4),
    (197, 2, 8, 16),
]


def remember(arguments):
    """Keep one matrix per head of a sample and go through the tokens; nothing is batched."""
    x, dt, A, B, C, first = arguments
    batch, token, head, _ = x.shape
    outputs, states = [], []
    for i in range(batch):
        for k in range(head):
            h = first[i, k]
            weights_in, weights_out = (w[i] if w.ndim == 3 else w[i, :, k] for w in (B, C))
            for t in range(token):
                h = torch.exp(dt[i, t, k] * A[k]) * h + dt[i, t, k] * torch.outer(x[i, t, k], weights_in[t])
                outputs.append(h.mv(weights_out[t]))
            states.append(h)
    y = torch.stack(outputs).view(batch, head, token, -1).transpose(1, 2)
    return y, torch.stack(states).view(first.shape)


def operator(backend, **options):
    def call(arguments):
        return ssd(*arguments[:5], initial_state=arguments[5], backend=backend, return_state=True, **options)

    return call


@pytest.mark.parametrize("of_state", [True, False])
@pytest.mark.parametrize("shared", [True, False])
@pytest.mark.parametrize(("token", "head", "width", "state"), SIZES)
def test_equals_the_recurrence_with_every_gradient(problem, results, token, head, width, state, shared, of_state):
    arguments = problem(2, token, head, width, state, shared=shared)
    truth = results(remember, arguments, of_state=of_state)
    for backend in BACKENDS:
        for name, value in results(operator(backend), arguments, of_state=of_state).items():
            assert (value - truth[name]).norm() <= 1e-10 * truth[name].norm(), f"{backend}: {name}"


@pytest.mark.parametrize("backend", BACKENDS)
def test_is_a_masked_attention_without_softmax(problem, backend):
    # the quadratic form of the paper: every earlier token counts as its weights agree and as far as it has not faded
    x, dt, A, B, C, _ = problem(2, 70, 2, 4, 5)
    passed = (dt * A).cumsum(1)
    kept = torch.exp(passed[:, :, None] - passed[:, None]).permute(0, 3, 1, 2).tril()
    score = torch.einsum("bthn,bjhn->bhtj", C, B) * kept
    truth = torch.einsum("bhtj,bjhp->bthp", score, dt[..., None] * x)
    torch.testing.assert_close(ssd(x, dt, A, B, C, backend=backend), truth)


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("groups", [1, 4])
def test_equals_the_scan_of_transformers(problem, chunk_scan_of_transformers, groups, backend):
    x, dt, A, B, C, first = problem(2, 197, 4, 8, 16, shared=groups == 1, dtype=torch.float32)
    B_of_groups, C_of_groups = (tensor.view(2, 197, groups, 16) for tensor in (B, C))
    truth, truth_state = chunk_scan_of_transformers(
        *(x, dt, A, B_of_groups, C_of_groups), chunk_size=32, initial_states=first, return_final_states=True
    )
    y, state = ssd(x, dt, A, B, C, initial_state=first, backend=backend, return_state=True)
    assert (y - truth).norm() <= 1e-5 * truth.norm()
    assert (state - truth_state).norm() <= 1e-5 * truth_state.norm()


@pytest.mark.parametrize("backend", BACKENDS)
def test_a_token_never_sees_a_later_one(problem, backend):
    arguments = [tensor.detach() for tensor in problem(1, 80, 2, 4, 5)]
    before, _ = operator(backend)(arguments)
    changed = [tensor.clone() for tensor in arguments]
    for tensor in (changed[0], changed[3], changed[4]):
        tensor[:, 70:] *= -2
    after, _ = operator(backend)(changed)
    torch.testing.assert_close(after[:, :70], before[:, :70], rtol=0, atol=0)
    assert (after[:, 70:] - before[:, 70:]).abs().min() > 1e-6


@pytest.mark.parametrize("backend", BACKENDS)
def test_without_decay_it_is_a_running_sum(problem, backend):
    x, dt, _, B, C, first = problem(2, 70, 2, 4, 5)
    y, state = ssd(x, dt, torch.zeros(2), B, C, initial_state=first, backend=backend, return_state=True)
    added = torch.einsum("blh,blhp,blhn->blhpn", dt, x, B).cumsum(1) + first[:, None]
    torch.testing.assert_close(y, torch.einsum("blhpn,blhn->blhp", added, C))
    torch.testing.assert_close(state, added[:, -1])
