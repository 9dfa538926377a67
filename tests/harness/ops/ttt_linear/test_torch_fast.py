"""The fast path against the reference in float64: every output and every gradient.

Tolerance 1e-10 relative to the largest entry: both sides round at 1e-16, longest chain 197 steps.
"""

import pytest
import torch

from auharness.ops.ttt_linear import ttt_linear

SIZES = [  # token, mini_batch, d
    (1, 1, 8),
    (1, 16, 64),
    (13, 14, 16),
    (14, 14, 64),
    (14, 1, 8),
    (27, 14, 8),
    (27, 7, 16),
    (27, 64, 8),
    (197, 14, 64),
    (197, 64, 8),
]
SCANS = [("forward", 0), ("reverse", 0), ("reverse", 1), ("both", 0), ("both", 1)]


def close(value, truth, name):
    scale = truth.abs().max().clamp_min(1e-3)
    torch.testing.assert_close(value / scale, truth / scale, rtol=0, atol=1e-10, msg=lambda text: f"{name}: {text}")


def operator(backend, mini_batch, direction="forward", suffix=0):
    def call(arguments):
        options = {"direction": direction, "suffix": suffix, "backend": backend}
        out, state = ttt_linear(*arguments, mini_batch=mini_batch, return_state=True, **options)
        return out, *state

    return call


@pytest.mark.parametrize(("direction", "suffix"), SCANS)
@pytest.mark.parametrize(("token", "mini_batch", "d"), SIZES)
def test_equals_the_reference(problem, results, token, mini_batch, d, direction, suffix):
    lead = (2,) if direction == "both" else ()
    arguments = problem(2, 2, token, d, mini_batch, lead=lead, batched_state=token % 2 == 0)
    truth = results(operator("reference", mini_batch, direction, suffix), arguments)
    for name, value in results(operator("torch", mini_batch, direction, suffix), arguments).items():
        close(value, truth[name], name)


@pytest.mark.parametrize("d", [8, 64])
@pytest.mark.parametrize("mini_batch", [1, 7, 14, 16, 197])
@pytest.mark.parametrize("state", [False, True], ids=["output", "state"])
def test_equals_the_reference_over_197_tokens_in_relative_norm(problem, mini_batch, d, state):
    arguments = problem(1, 1, 197, d, mini_batch)

    def gradients(backend):
        outputs = operator(backend, mini_batch)(arguments)[: 3 if state else 1]
        return [*outputs, *torch.autograd.grad(sum(x.sin().sum() for x in outputs), arguments)]

    for value, truth in zip(gradients("torch"), gradients("reference"), strict=True):
        assert (value - truth).norm() / truth.norm() < 1e-10


def test_passes_gradcheck(problem):
    arguments = problem(1, 1, 4, 3, 2, lead=(2,))
    assert torch.autograd.gradcheck(lambda *x: operator("torch", 2, "both", 1)(x), arguments)


@pytest.mark.parametrize("suffix", [2, 9])
def test_equals_the_reference_when_the_suffix_spans_mini_batches(problem, results, suffix):
    arguments = problem(1, 2, 9, 4, 4, lead=(2,))
    truth = results(operator("reference", 4, "both", suffix), arguments)
    for name, value in results(operator("torch", 4, "both", suffix), arguments).items():
        close(value, truth[name], name)


def test_uses_no_memory_it_has_not_written(problem, results):
    arguments = problem(2, 2, 27, 8, 14, lead=(2,))
    truth = results(operator("torch", 14, "both", 1), arguments)
    torch.use_deterministic_algorithms(True)  # torch then fills fresh memory with NaN
    try:
        assert torch.empty(3).isnan().all()
        for name, value in results(operator("torch", 14, "both", 1), arguments).items():
            torch.testing.assert_close(value, truth[name], rtol=0, atol=0)
            assert value.isfinite().all()
    finally:
        torch.use_deterministic_algorithms(False)


def test_is_the_same_with_and_without_gradients(problem):
    arguments = problem(2, 2, 27, 8, 7)
    with torch.no_grad():
        without = operator("torch", 7)(arguments)
    for value, truth in zip(without, operator("torch", 7)(arguments), strict=True):
        torch.testing.assert_close(value, truth, rtol=0, atol=0)


def test_backward_may_run_twice(problem):
    arguments = problem(1, 2, 9, 4, 4)
    out, *_ = operator("torch", 4)(arguments)
    first = torch.autograd.grad(out.sum(), arguments, retain_graph=True)
    for value, truth in zip(torch.autograd.grad(out.sum(), arguments), first, strict=True):
        torch.testing.assert_close(value, truth, rtol=0, atol=0)


def test_takes_any_memory_layout(problem, results):
    arguments = problem(2, 3, 20, 8, 7)
    truth = results(operator("torch", 7), arguments)
    strided = [x.detach().mT.contiguous().mT.requires_grad_() if x.ndim > 1 else x for x in arguments]
    for name, value in results(operator("torch", 7), strided).items():
        torch.testing.assert_close(value, truth[name])


def test_a_tiny_first_state_keeps_its_gradient_exact_in_float32(problem, results):
    # taking the first update back would round this state away; it is read again instead
    arguments = problem(1, 2, 64, 16, 16)
    small = [x.detach().float() * (1e-4 if i in (5, 6) else 1) for i, x in enumerate(arguments)]
    small = [x.requires_grad_() for x in small]
    truth = results(operator("reference", 16), [x.detach().double().requires_grad_() for x in small])["k"]
    value = results(operator("torch", 16), small)["k"]
    assert (value - truth).norm() / truth.norm() < 1e-5


def test_saves_less_than_half_of_what_the_reference_saves(problem):
    saved = {}
    for backend in ("torch", "reference"):
        seen = {}

        def keep(x, seen=seen):
            seen[x.untyped_storage().data_ptr()] = x.untyped_storage().nbytes()
            return x

        arguments = problem(1, 2, 197, 64, 14, dtype=torch.float32)
        with torch.autograd.graph.saved_tensors_hooks(keep, lambda x: x):
            out = operator(backend, 14)(arguments)
        saved[backend] = sum(seen.values())
        del out
    assert saved["torch"] < saved["reference"] / 2
