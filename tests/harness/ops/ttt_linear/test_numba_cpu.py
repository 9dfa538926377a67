"""The compiled CPU path in float32 against the reference in float64: every output and every gradient.

Errors are relative to the norm of the whole tensor. Measured: 6e-7 for outputs and states, 2e-6 for gradients; that of
the token scales adds up thousands of terms that cancel, 3e-5 in either fast path.
"""

import os
import subprocess
import sys

import pytest
import torch

pytest.importorskip("numba")

from auharness.errors import UsageError
from auharness.ops.backends import recorded
from auharness.ops.ttt_linear import ttt_linear, ttt_linear_backend

SIZES = [  # token, mini_batch, d
    (1, 1, 8),
    (1, 16, 64),
    (7, 1, 64),
    (7, 7, 13),
    (7, 14, 64),
    (37, 1, 13),
    (37, 7, 8),
    (37, 14, 64),
    (37, 16, 13),
    (32, 2, 8),  # sixteen mini-batches, as many as the backward pass computes again at once
    (33, 2, 64),
    (37, 37, 8),
    (37, 5, 100),
    (197, 1, 64),
    (197, 14, 64),
    (197, 16, 8),
    (197, 197, 64),
]
SCANS = [("forward", 0), ("reverse", 0), ("reverse", 1), ("both", 0), ("both", 1)]
OUTPUTS, GRADIENTS, CANCELLING = 5e-6, 2e-5, 1e-4


def operator(mini_batch, direction="forward", suffix=0, backend="numba"):
    def call(arguments):
        options = {"direction": direction, "suffix": suffix, "backend": backend}
        out, state = ttt_linear(*arguments, mini_batch=mini_batch, return_state=True, **options)
        return out, *state

    return call


def in_float64(arguments):
    return [x.detach().double().requires_grad_() for x in arguments]


def assert_close(values, truth):
    for name, value in values.items():
        bar = OUTPUTS if name in ("out", "w", "b") else CANCELLING if name == "token_scale" else GRADIENTS
        assert value.dtype == torch.float32, name
        assert (value - truth[name]).norm() <= bar * truth[name].norm(), name


@pytest.mark.parametrize(("direction", "suffix"), SCANS)
@pytest.mark.parametrize(("token", "mini_batch", "d"), SIZES)
def test_equals_the_reference(problem, results, token, mini_batch, d, direction, suffix):
    lead = (2,) if direction == "both" else ()
    batched_state = (mini_batch + suffix) % 2 == 0
    arguments = problem(2, 2, token, d, mini_batch, lead=lead, batched_state=batched_state, dtype=torch.float32)
    truth = results(operator(mini_batch, direction, suffix, "reference"), in_float64(arguments))
    assert_close(results(operator(mini_batch, direction, suffix), arguments), truth)


@pytest.mark.parametrize("suffix", [2, 9])
def test_equals_the_reference_when_the_suffix_spans_mini_batches(problem, results, suffix):
    arguments = problem(1, 2, 9, 4, 4, lead=(2,), dtype=torch.float32)
    truth = results(operator(4, "both", suffix, "reference"), in_float64(arguments))
    assert_close(results(operator(4, "both", suffix), arguments), truth)


@pytest.mark.parametrize("d", [5, 64])
def test_an_axis_of_one_is_shared_by_both_directions(problem, results, d):
    arguments = problem(2, 3, 20, d, 7, lead=(1,), dtype=torch.float32)
    truth = results(operator(7, "both", 1, "reference"), in_float64(arguments))
    assert_close(results(operator(7, "both", 1), arguments), truth)


def test_equals_the_reference_when_only_the_output_is_used(problem):
    arguments = problem(2, 2, 37, 13, 14, dtype=torch.float32)
    wide = in_float64(arguments)
    truth = torch.autograd.grad(ttt_linear(*wide, mini_batch=14, backend="reference").square().sum(), wide)
    values = torch.autograd.grad(ttt_linear(*arguments, mini_batch=14, backend="numba").square().sum(), arguments)
    for value, expected in zip(values, truth, strict=True):
        assert (value - expected).norm() <= GRADIENTS * expected.norm()


def test_a_state_continues_the_scan_at_a_mini_batch_boundary(problem):
    arguments = problem(2, 3, 37, 13, 14, dtype=torch.float32)
    whole, w, b = operator(14)(arguments)
    head, tail = ([x[:, :, part] for x in arguments[:4]] for part in (slice(28), slice(28, None)))
    first, *state = operator(14)([*head, *arguments[4:]])
    rest, *last = operator(14)([*tail, arguments[4], *state, *arguments[7:]])
    torch.testing.assert_close(torch.cat((first, rest), 2), whole, rtol=1e-5, atol=1e-5)
    torch.testing.assert_close(last, [w, b], rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("d", [13, 64])
def test_uses_no_memory_it_has_not_written(problem, results, d):
    arguments = problem(2, 2, 37, d, 14, lead=(2,), dtype=torch.float32)
    assert torch.empty(3).isnan().all()  # the whole suite runs so: fresh memory is NaN
    filled = results(operator(14, "both", 1), arguments)
    torch.use_deterministic_algorithms(False)
    try:
        truth = results(operator(14, "both", 1), arguments)
    finally:
        torch.use_deterministic_algorithms(True)
    for name, value in filled.items():
        torch.testing.assert_close(value, truth[name], rtol=0, atol=0, msg=name)


def test_threads_change_no_bit(problem, results, monkeypatch):
    arguments = problem(3, 3, 37, 13, 14, lead=(2,), dtype=torch.float32)
    truth = results(operator(14, "both", 1), arguments)
    for threads in (2, 5):
        monkeypatch.setattr(torch, "get_num_threads", lambda threads=threads: threads)
        for name, value in results(operator(14, "both", 1), arguments).items():
            torch.testing.assert_close(value, truth[name], rtol=0, atol=0, msg=name)


def test_is_the_same_with_and_without_gradients(problem):
    arguments = problem(2, 2, 27, 8, 7, dtype=torch.float32)
    with torch.no_grad():
        without = operator(7)(arguments)
    for value, truth in zip(without, operator(7)(arguments), strict=True):
        torch.testing.assert_close(value, truth, rtol=0, atol=0)


def test_backward_may_run_twice(problem):
    arguments = problem(1, 2, 9, 4, 4, dtype=torch.float32)
    out, *_ = operator(4)(arguments)
    first = torch.autograd.grad(out.sum(), arguments, retain_graph=True)
    for value, truth in zip(torch.autograd.grad(out.sum(), arguments), first, strict=True):
        torch.testing.assert_close(value, truth, rtol=0, atol=0)


@pytest.mark.parametrize(("order", "back"), [((2, 0, 1, 3), (1, 2, 0, 3)), ((0, 1, 3, 2), (0, 1, 3, 2))])
def test_takes_any_memory_layout(problem, results, order, back):
    arguments = problem(2, 3, 20, 13, 7, dtype=torch.float32)
    truth = results(operator(7), arguments)

    def strided(x):
        return x.detach().permute(order).contiguous().permute(back).requires_grad_() if x.ndim == 4 else x

    for name, value in results(operator(7), [strided(x) for x in arguments]).items():
        torch.testing.assert_close(value, truth[name], rtol=0, atol=0, msg=name)


@pytest.mark.parametrize("back", [0, 1])
def test_results_that_go_past_the_cache_are_the_same(problem, back):
    *tensors, lr, token_scale, w0, b0, weight, bias = problem(2, 4, 2049, 64, 16, dtype=torch.float32)
    if back:  # a step between rows that no vector begins at
        tensors = [torch.nn.functional.pad(x.detach(), (0, 1))[..., :64].requires_grad_() for x in tensors]

    def passed(rows):
        read = [x.detach()[rows].requires_grad_() for x in (*tensors, lr)]
        out, *_ = operator(16)([*read, token_scale, w0, b0, weight, bias])
        return out, *torch.autograd.grad((out * out).sum(), read)

    for value, *parts in zip(passed(slice(2)), passed(slice(1)), passed(slice(1, 2)), strict=True):
        torch.testing.assert_close(value, torch.cat(parts), rtol=0, atol=0)


def test_heads_of_the_output_lie_beside_each_other(problem):
    out, *_ = operator(7)(problem(2, 3, 20, 8, 7, dtype=torch.float32))
    assert out.transpose(1, 2).flatten(2).data_ptr() == out.data_ptr()


def test_a_tiny_first_state_keeps_its_gradient_exact(problem, results):
    # taking updates back would round this state away; the states are computed again instead
    arguments = problem(1, 2, 64, 16, 16)
    small = [x.detach().float() * (1e-4 if i in (5, 6) else 1) for i, x in enumerate(arguments)]
    small = [x.requires_grad_() for x in small]
    assert_close(results(operator(16), small), results(operator(16, backend="reference"), in_float64(small)))


@pytest.mark.parametrize("bad", [float("nan"), float("inf")])
@pytest.mark.parametrize("index", range(9))
def test_a_number_that_is_none_reaches_the_output(problem, index, bad):
    arguments = [x.detach() for x in problem(1, 1, 20, 13, 7, dtype=torch.float32)]
    arguments[index].flatten()[-1] = bad
    last = ttt_linear(*arguments, mini_batch=7, backend="numba")[0, 0, 13 if index == 4 else -1]
    truth = ttt_linear(*arguments, mini_batch=7, backend="reference")[0, 0, 13 if index == 4 else -1]
    assert not truth.isfinite().all()
    torch.testing.assert_close(last.isfinite(), truth.isfinite())


@pytest.mark.parametrize("kind", [torch.bfloat16, torch.float16])
def test_half_precision_is_computed_in_float32(problem, kind):
    arguments = [x.detach() for x in problem(1, 2, 20, 8, 7, dtype=torch.float32)]
    half = [x.to(kind).requires_grad_() for x in arguments[:4]]
    truth = ttt_linear(*(x.float() for x in half), *arguments[4:], mini_batch=7, backend="numba")
    with torch.autocast("cpu", torch.bfloat16):
        out, (w, b) = ttt_linear(*half, *arguments[4:], mini_batch=7, backend="numba", return_state=True)
    torch.testing.assert_close(out, truth.to(kind), rtol=0, atol=0)
    assert (w.dtype, b.dtype) == (torch.float32, torch.float32)
    assert all(x.dtype == kind for x in torch.autograd.grad(out.sum(), half))


def test_it_is_the_default_on_a_cpu_and_leaves_float64_to_torch(problem):
    q, k, v, lr, token_scale, w0, *rest = problem(1, 2, 9, 4, 4, dtype=torch.float32)
    assert ttt_linear_backend(q) == "numba"
    assert ttt_linear_backend(q.bfloat16()) == "numba"
    assert ttt_linear_backend(q.double()) == "torch"
    with recorded() as used:
        ttt_linear(q, k, v, lr, token_scale, w0.double(), *rest, mini_batch=4)
    assert used == {"ttt_linear": "torch"}
    with pytest.raises(UsageError, match="'numba' cannot be used here: its kernels have no float64"):
        ttt_linear_backend(q.double(), backend="numba")
    with pytest.raises(UsageError, match="'numba' cannot be used here: its kernels run on the CPU, q is on meta"):
        ttt_linear_backend(q.to("meta"), backend="numba")


def test_keeps_one_state_for_sixteen_mini_batches(problem):
    kept = {}
    for token in (197, 1024):
        arguments = problem(1, 2, token, 64, 14, dtype=torch.float32)
        given = {x.untyped_storage().data_ptr() for x in arguments}
        seen = {}

        def keep(x, given=given, seen=seen):
            if x.untyped_storage().data_ptr() not in given:
                seen[x.untyped_storage().data_ptr()] = x.untyped_storage().nbytes()
            return x

        with torch.autograd.graph.saved_tensors_hooks(keep, lambda x: x):
            out = operator(14)(arguments)
        kept[token] = sum(seen.values())
        del out
    assert kept[197] == 0  # 15 mini-batches: the first state is an argument
    assert kept[1024] == 2 * 4 * 65 * 64 * 4  # 74 mini-batches: four more


def test_code_that_an_earlier_process_compiled_is_used_again(problem):
    operator(4)(problem(1, 1, 4, 4, 4, dtype=torch.float32))  # now it lies on the disk
    program = """
import torch
from auharness.ops.ttt_linear import numba_kernels, ttt_linear
x = torch.ones(1, 1, 4, 4)
ttt_linear(x, x, x, x[..., 0], x[0, 0, 0], x[0], x[0, :, :1], x[0, :, 0], x[0, :, 0], mini_batch=4, backend="numba")
assert numba_kernels.forward.stats.cache_hits and not numba_kernels.forward.stats.cache_misses
"""
    subprocess.run([sys.executable, "-c", program], check=True, timeout=300, env=dict(os.environ))
