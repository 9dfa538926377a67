"""The fast path against the reference in float64: every output and every gradient, in relative norm.

Both sides round at 1e-16; the longest chain has 197 steps.
"""

import pytest
import torch

from auharness.ops.ttt_mlp import ttt_mlp

SIZES = [  # token, mini_batch, d
    (1, 16, 8),
    (13, 14, 16),
    (14, 1, 8),
    (14, 14, 64),
    (27, 7, 16),
    (27, 64, 8),
]
SCANS = [("forward", 0), ("reverse", 0), ("reverse", 1), ("both", 0), ("both", 1)]


def operator(backend, mini_batch, direction="forward", suffix=0):
    def call(arguments):
        options = {"direction": direction, "suffix": suffix, "backend": backend}
        out, state = ttt_mlp(*arguments, mini_batch=mini_batch, return_state=True, **options)
        return out, *state

    return call


def check(results, arguments, *scan):
    truth = results(operator("reference", *scan), arguments)
    for name, value in results(operator("torch", *scan), arguments).items():
        error = (value - truth[name]).norm() / truth[name].norm()
        assert error < 1e-10, f"{name} is off by {error:.1e}"


@pytest.mark.parametrize(("direction", "suffix"), SCANS)
@pytest.mark.parametrize(("token", "mini_batch", "d"), SIZES)
def test_equals_the_reference(problem, results, token, mini_batch, d, direction, suffix):
    lead = (2,) if direction == "both" else ()
    arguments = problem(2, 2, token, d, mini_batch, lead=lead, batched_state=token % 2 == 0)
    check(results, arguments, mini_batch, direction, suffix)


@pytest.mark.parametrize(
    ("mini_batch", "d"),
    [
        *((mini_batch, d) for mini_batch in (1, 7, 14, 16, 197) for d in (8, 64) if (mini_batch, d) != (1, 64)),
        pytest.param(1, 64, marks=pytest.mark.nightly),
    ],
)
def test_equals_the_reference_over_197_tokens(problem, results, mini_batch, d):
    check(results, problem(1, 1, 197, d, mini_batch), mini_batch)


def test_passes_gradcheck(problem):
    arguments = problem(1, 1, 4, 3, 2, hidden=4, lead=(2,))
    assert torch.autograd.gradcheck(lambda *x: operator("torch", 2, "both", 1)(x), arguments)


@pytest.mark.parametrize("suffix", [2, 9])
def test_equals_the_reference_when_the_suffix_spans_mini_batches(problem, results, suffix):
    check(results, problem(1, 2, 9, 4, 4, lead=(2,)), 4, "both", suffix)


def test_uses_no_memory_it_has_not_written(problem, results):
    arguments = problem(2, 2, 27, 8, 14, lead=(2,))
    truth = results(operator("torch", 14, "both", 1), arguments)
    torch.use_deterministic_algorithms(True)  # torch then fills fresh memory with NaN
    assert torch.empty(3).isnan().all()
    for name, value in results(operator("torch", 14, "both", 1), arguments).items():
        torch.testing.assert_close(value, truth[name], rtol=0, atol=0)
        assert value.isfinite().all()


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


def test_a_returned_state_shares_no_memory_with_what_backward_reads(problem):
    arguments = problem(1, 2, 9, 4, 4)
    out, *state = operator("torch", 4)(arguments)
    truth = torch.autograd.grad(out.sum(), arguments, retain_graph=True)
    for x in state:
        x.detach().zero_()
    for value, expected in zip(torch.autograd.grad(out.sum(), arguments), truth, strict=True):
        torch.testing.assert_close(value, expected, rtol=0, atol=0)


def test_takes_any_memory_layout(problem, results):
    arguments = problem(2, 3, 20, 8, 7)
    truth = results(operator("torch", 7), arguments)
    strided = [x.detach().mT.contiguous().mT.requires_grad_() if x.ndim > 1 else x for x in arguments]
    for name, value in results(operator("torch", 7), strided).items():
        torch.testing.assert_close(value, truth[name])


def test_taking_steps_back_costs_no_accuracy_in_float32(problem, results):
    # the first state is small beside what is learnt; rounding at the size of the latter must not reach its gradient
    arguments = problem(1, 2, 197, 16, 14)
    small = [x.detach().float() * (1e-3 if 5 <= i < 9 else 1) for i, x in enumerate(arguments)]
    wide = results(operator("reference", 14), [x.double().requires_grad_() for x in small])
    errors = {}
    for backend in ("reference", "torch"):
        found = results(operator(backend, 14), [x.clone().requires_grad_() for x in small])
        errors[backend] = {name: (found[name] - wide[name]).norm() / wide[name].norm() for name in wide}
    for name, error in errors["torch"].items():
        assert error < 1e-6 + 10 * errors["reference"][name], name


def test_saves_less_than_a_quarter_of_what_the_reference_saves(problem):
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
    assert saved["torch"] < saved["reference"] / 4
