"""The Triton path: in Triton's interpreter here, and on the device where there is one.

Errors are relative to the norm of the whole tensor, against the reference in float64. In the interpreter 2e-6 for
outputs and states, 1e-5 for gradients: measured 2e-7 and 4e-7, a few float32 roundings. On a device ten times that: its
square roots are good to 1e-7 and tensor cores drop the last bits of a sum. Half precision rounds the state whenever it
is multiplied, 4e-3 in bfloat16.
"""

import pytest
import torch
from torch._subclasses.fake_tensor import FakeTensorMode

from auharness.ops.ttt_linear import BACKENDS, ttt_linear, ttt_linear_backend
from auharness.ops.ttt_linear.arguments import fitted
from auharness.ops.ttt_linear.reference import ttt_linear_reference

pytest.importorskip("triton", reason="the `gpu` extra is not installed")

KERNELS, LAUNCH = (f"auharness.ops.ttt_linear.triton_{part}" for part in ("kernels", "gpu"))
REVERSE = {"forward": (False,), "reverse": (True,), "both": (False, True)}
FLOAT32, DEVICE, HALF = (2e-6, 1e-5), (2e-5, 1e-4), (1e-2, 3e-2)  # bars for outputs and for gradients

CASES = [  # token, mini_batch, d, direction, suffix, a state per sequence
    (1, 1, 16, "both", 1, True),
    (7, 1, 16, "both", 0, False),
    (7, 16, 64, "reverse", 0, True),
    (37, 1, 16, "reverse", 1, False),
    (37, 7, 16, "both", 0, True),
    (37, 14, 64, "both", 1, False),
    (37, 16, 64, "forward", 0, True),
    (37, 37, 16, "reverse", 1, False),
    (83, 64, 16, "both", 1, True),
    (83, 14, 16, "both", 20, False),
]
LONGER = [
    (197, 14, 64, "both", 1, False),
    (197, 16, 64, "forward", 0, True),
    (1000, 16, 64, "both", 1, False),
    (197, 64, 64, "reverse", 1, False),
    (197, 32, 64, "both", 0, False),
    (100, 5, 32, "reverse", 1, True),
    (61, 1, 64, "both", 1, False),
    (150, 16, 128, "both", 1, False),
]


def operator(function, case, *, eps=1e-6):
    """Return `call(arguments) -> (out, w, b)` of a backend."""
    _, mini_batch, _, direction, suffix, _ = case

    def call(arguments):
        leads = arguments if direction == "both" else [x[None] for x in arguments]
        scale = leads[4] if leads[4].ndim == 2 else leads[4][None]
        reverse = REVERSE[direction]
        tensors = fitted(*leads[:4], scale, *leads[5:], directions=len(reverse), widen=False)
        return function(*tensors, mini_batch=mini_batch, eps=eps, reverse=reverse, suffix=suffix)

    return call


def tensors(problem, case):
    """Return the arguments in float64, none of whose numbers float32 would round; every mini-batch moves the state."""
    token, mini_batch, d, direction, _, batched_state = case
    lead = (2,) if direction == "both" else ()
    batch = 2 if token < 40 else 1  # the interpreter takes its time
    exact = problem(batch, 2, token, d, mini_batch, lead=lead, batched_state=batched_state, dtype=torch.float32)
    with torch.no_grad():
        exact[4] += 0.1  # a scale of 0 in the last position would hide all that states do
    return [x.detach().double().requires_grad_() for x in exact]


def single(arguments):
    return [x.detach().float().requires_grad_() for x in arguments]


def assert_close(found, truth, bars):
    for name, value in found.items():
        bar = bars[0] if name in ("out", "w", "b") else bars[1]
        error = (value.detach().cpu().double() - truth[name]).norm()
        assert error <= bar * truth[name].norm(), f"{name}: {error:.1e} of {truth[name].norm():.1e}"


@pytest.fixture
def interpreter(interpreted):
    return interpreted(KERNELS, LAUNCH)


@pytest.fixture
def check(problem, results):
    """Compare a function on float32 copies of a problem with the reference in float64; `change` comes before both."""

    def compare(function, case, *, change=lambda x: x, eps=1e-6):
        arguments = tensors(problem, case)
        truth = results(lambda x: operator(ttt_linear_reference, case, eps=eps)(change(x)), arguments)
        call = operator(function, case, eps=eps)
        assert_close(results(lambda x: call(change(x)), single(arguments)), truth, FLOAT32)

    return compare


@pytest.fixture
def nan_filled():
    """Fresh memory is full of NaN."""
    before = torch.are_deterministic_algorithms_enabled()
    torch.use_deterministic_algorithms(True)
    assert torch.empty(3).isnan().all()
    yield
    torch.use_deterministic_algorithms(before)


@pytest.mark.parametrize("case", CASES, ids=str)
def test_equals_the_reference(interpreter, nan_filled, check, case):
    check(interpreter.ttt_linear_triton, case)


@pytest.mark.parametrize(
    "case",
    [
        (37, 14, 16, "both", 1, False),
        (45, 22, 16, "reverse", 0, True),
        (71, 9, 16, "forward", 0, False),
    ],
    ids=str,
)
def test_several_mini_batches_in_a_tile_equal_the_reference(interpreter, nan_filled, check, monkeypatch, case):
    monkeypatch.setattr(interpreter, "_HALF", (torch.float32,))  # the tiles of half precision, exact
    check(interpreter.ttt_linear_triton, case)


@pytest.mark.parametrize("tokens", [16, 32, 1000])
def test_kept_states_may_be_any_number_of_tiles_apart(interpreter, nan_filled, check, monkeypatch, tokens):
    monkeypatch.setattr(interpreter, "_KEPT_TOKENS", tokens)  # of tiles of 16
    check(interpreter.ttt_linear_triton, (70, 16, 16, "reverse", 1, False))


def test_takes_any_memory_layout(interpreter, check):
    def change(x):
        q, k, v, lr, scale, w0, b0, weight, bias = x
        packed = torch.cat([q, v, k], -1)  # as one projection leaves them
        d = q.shape[-1]
        views = (packed[..., :d], packed[..., 2 * d :], v.mT.contiguous().mT, lr.mT.contiguous().mT)
        columns = torch.stack([weight, bias], -1)
        strided_scale = torch.stack([scale, scale], -1)[..., 0]
        state = (w0.mT.contiguous().mT, torch.stack([b0, b0], -1)[..., 1])
        return [*views, strided_scale, *state, columns[..., 0], columns[..., 1]]

    check(interpreter.ttt_linear_triton, (9, 4, 16, "both", 1, True), change=change)


def test_a_shared_axis_is_read_in_place(interpreter, check):
    def change(x):
        alone = [value[:1].expand_as(value) for value in x[:4]]
        queries = alone[0][:, :, :1].expand_as(alone[0])
        return [queries, *alone[1:], x[4], *(value[:1].expand_as(value) for value in x[5:])]

    check(interpreter.ttt_linear_triton, (9, 4, 16, "both", 1, False), change=change)


def test_nothing_behind_the_sequence_is_read(interpreter, check):
    def change(x):
        def surrounded(value, axis):
            rows = torch.full_like(value.narrow(axis, 0, 1), torch.nan).repeat_interleave(70, axis)
            return torch.cat([rows, value, rows], axis).narrow(axis, 70, value.shape[axis])

        return [*(surrounded(value, 2) for value in x[:4]), surrounded(x[4], 0), *x[5:]]

    check(interpreter.ttt_linear_triton, (18, 7, 16, "reverse", 1, False), change=change)


@pytest.mark.filterwarnings("ignore:divide by zero", "ignore:invalid value")
def test_padding_of_a_tile_cannot_spoil_it(interpreter, check):
    # a row of zeros has no variance: without eps its scale is infinite
    def change(x):
        return [*x[:6], 0 * x[6], *x[7:]]

    check(interpreter.ttt_linear_triton, (5, 4, 16, "forward", 0, False), change=change, eps=0.0)


@pytest.mark.parametrize("used", [(0,), (2,), (1, 2)], ids=str)
def test_gradients_may_come_from_any_output(interpreter, nan_filled, problem, used):
    case = (20, 7, 16, "reverse", 1, False)

    def gradients(function, arguments):
        outputs = operator(function, case)(arguments)
        total = sum(outputs[i].sum() + outputs[i].square().sum() for i in used)
        return torch.autograd.grad(total, arguments, allow_unused=True)

    arguments = tensors(problem, case)
    truth = gradients(ttt_linear_reference, arguments)
    for value, true in zip(gradients(interpreter.ttt_linear_triton, single(arguments)), truth, strict=True):
        # the state does not depend on queries
        assert (value - true).norm() <= 1e-5 * true.norm() if true is not None else not value.any()


def test_is_the_same_without_gradients_and_run_twice(interpreter, problem):
    case = (9, 4, 16, "both", 1, False)
    arguments = single(tensors(problem, case))
    outputs = operator(interpreter.ttt_linear_triton, case)(arguments)
    with torch.no_grad():
        for value, truth in zip(operator(interpreter.ttt_linear_triton, case)(arguments), outputs, strict=True):
            torch.testing.assert_close(value, truth, rtol=0, atol=0)
    total = sum(x.square().sum() for x in outputs)
    first = torch.autograd.grad(total, arguments, retain_graph=True)
    for value, truth in zip(torch.autograd.grad(total, arguments), first, strict=True):
        torch.testing.assert_close(value, truth, rtol=0, atol=0)


@pytest.mark.parametrize("case", [(37, 14, 16, "both", 1, False), (20, 3, 16, "reverse", 0, True)], ids=str)
def test_half_precision_has_a_state_in_float32(interpreter, problem, results, case):
    arguments = single(tensors(problem, case))
    half = [x.detach().half().requires_grad_() if i < 3 else x for i, x in enumerate(arguments)]
    found = results(operator(interpreter.ttt_linear_triton, case), half)
    assert [found[name].dtype for name in ("out", "w", "b")] == [torch.float16, torch.float32, torch.float32]
    assert all(found[name].dtype == x.dtype for name, x in zip(list(found)[3:], half, strict=True))
    exact = [x.detach().double().requires_grad_() for x in half]
    # float16 rounds at 5e-4
    assert_close(found, results(operator(ttt_linear_reference, case), exact), (1e-3, 2e-3))


def test_keeps_states_no_closer_than_tokens_are_long(interpreter, problem):
    # what is saved besides the arguments: a state per 64 tokens costs as much as a token of float32
    case = (64 * 4, 16, 16, "forward", 0, False)
    arguments = single(tensors(problem, case))
    own = {x.untyped_storage().data_ptr() for x in arguments}
    saved: dict[int, int] = {}

    def keep(x):
        saved[x.untyped_storage().data_ptr()] = x.untyped_storage().nbytes()
        return x

    with torch.autograd.graph.saved_tensors_hooks(keep, lambda x: x):
        operator(interpreter.ttt_linear_triton, case)(arguments)
    chains, kept, state = 2, 3, 17 * 16 * 4
    assert sum(size for key, size in saved.items() if key not in own) == chains * kept * state


def test_is_never_chosen_for_what_it_cannot_run(monkeypatch):
    refuses = BACKENDS["triton"].refuses
    assert "GPU" in refuses(torch.zeros(1, 1, 4, 16), mini_batch=4)
    if not torch.cuda.is_available():
        assert ttt_linear_backend(torch.zeros(1, 1, 4, 16)) != "triton"

    class Device:
        shared_memory_per_block_optin = 227 * 1024  # H100, H200

    monkeypatch.setattr(torch.cuda, "get_device_properties", lambda device: Device)
    with FakeTensorMode():

        def query(token=99, d=64, dtype=torch.float32):
            return torch.empty(1, 2, token, d, dtype=dtype, device="cuda")

        assert refuses(query(), mini_batch=64) is None
        assert refuses(query(dtype=torch.bfloat16), mini_batch=1) is None
        assert refuses(query(token=60), mini_batch=80) is None
        assert "float64" in refuses(query(dtype=torch.float64), mini_batch=16)
        assert "float64" in refuses(query(), mini_batch=16, kind=torch.float64)
        assert "at most 64 tokens, not 65" in refuses(query(), mini_batch=65)
        assert "not 48" in refuses(query(d=48), mini_batch=16)
        assert refuses(query(d=128, dtype=torch.float16), mini_batch=64) is None
        message = "float32 heads of 128 and mini-batches of 32 need 384 KB of shared memory, the device has 227"
        assert refuses(query(d=128), mini_batch=32) == message


needs_gpu = pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")


def on_device(problem, case, dtype=torch.float32):
    """Return a problem on the device, and the same numbers in float64 on the CPU."""
    here = [x.detach().to(dtype if i < 3 else torch.float32) for i, x in enumerate(tensors(problem, case))]
    there = [x.cuda().requires_grad_() for x in here]
    return there, [x.double().requires_grad_() for x in here]


def with_gradients(case, arguments):
    """Return outputs and gradients of one call."""
    outputs = operator(BACKENDS["triton"].run, case)(arguments)
    total = sum(x.float().square().sum() for x in outputs)
    return *outputs, *torch.autograd.grad(total, arguments)


NAMES = ("out", "w", "b", "q", "k", "v", "lr", "token_scale", "w0", "b0", "ln_weight", "ln_bias")


@pytest.mark.gpu
@needs_gpu
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16], ids=str)
@pytest.mark.parametrize("case", CASES + LONGER, ids=str)
def test_equals_the_reference_on_a_gpu(problem, case, dtype):
    there, here = on_device(problem, case, dtype)
    found = with_gradients(case, there)
    outputs = operator(ttt_linear_reference, case)(here)
    # the gradient of what the kernel returned, so that rounding of the output counts once
    outside = [2 * x.detach().cpu().double() for x in found[:3]]
    truth = dict(zip(NAMES, (*outputs, *torch.autograd.grad(outputs, here, outside)), strict=True))
    assert_close(dict(zip(NAMES, found, strict=True)), truth, DEVICE if dtype == torch.float32 else HALF)


@pytest.mark.gpu
@needs_gpu
def test_tf32_is_used_where_torch_may(problem):
    case = LONGER[0]
    there, here = on_device(problem, case)
    truth = operator(ttt_linear_reference, case)(here)[0]

    def error():
        out = operator(BACKENDS["triton"].run, case)(there)[0]
        return float((out.detach().cpu().double() - truth).norm() / truth.norm())

    exact = error()
    before = torch.get_float32_matmul_precision()
    torch.set_float32_matmul_precision("high")
    try:
        rounded = error()
    finally:
        torch.set_float32_matmul_precision(before)
    assert exact < DEVICE[0] < rounded < HALF[0]


@pytest.mark.gpu
@needs_gpu
@pytest.mark.parametrize("case", [LONGER[0], LONGER[6]], ids=str)
def test_does_not_wait_for_the_device(problem, case):
    there, _ = on_device(problem, case, torch.bfloat16)
    with_gradients(case, there)
    torch.cuda.synchronize()
    torch.cuda.set_sync_debug_mode("error")
    try:
        with_gradients(case, there)
    finally:
        torch.cuda.set_sync_debug_mode("default")


@pytest.mark.gpu
@needs_gpu
@pytest.mark.parametrize("case", [LONGER[0], LONGER[6]], ids=str)
def test_a_cuda_graph_replays_it_on_new_numbers(problem, case):
    there, _ = on_device(problem, case, torch.bfloat16)
    side = torch.cuda.Stream()
    side.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(side):
        with_gradients(case, there)
    torch.cuda.current_stream().wait_stream(side)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        captured = with_gradients(case, there)
    with torch.no_grad():
        for x in there:
            x.mul_(0.9)
    graph.replay()
    for value, eager in zip(captured, with_gradients(case, there), strict=True):
        torch.testing.assert_close(value, eager, rtol=0, atol=0)


@pytest.mark.gpu
@needs_gpu
def test_the_operator_chooses_it_on_a_gpu(problem):
    arguments = [x.detach().float().cuda() for x in problem(2, 3, 37, 64, 14)]
    options = {"mini_batch": 14, "direction": "reverse", "suffix": 1}
    assert ttt_linear_backend(arguments[0], mini_batch=14) == "triton"
    out = ttt_linear(*arguments, **options)
    truth = ttt_linear(*(x.double().cpu() for x in arguments), **options, backend="reference")
    assert (out.double().cpu() - truth).norm() <= DEVICE[0] * truth.norm()
