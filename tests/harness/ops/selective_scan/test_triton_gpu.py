"""The Triton path: in Triton's interpreter here, and on the device where there is one.

Tolerances are relative to the norm. In the interpreter 2e-6 for outputs, 1e-5 for gradients: both sides round at 1e-7.
On a device 1e-4, its exp2 is good to 2e-7 and a state is a product of up to 1000; bfloat16 rounds at 4e-3.
"""

from typing import NamedTuple

import pytest
import torch

from auharness.ops.selective_scan import BACKENDS, selective_scan, selective_scan_backend
from auharness.ops.selective_scan.reference import selective_scan_reference

pytest.importorskip("triton", reason="the `gpu` extra is not installed")

KERNELS, LAUNCH = (f"auharness.ops.selective_scan.triton_{part}" for part in ("kernels", "gpu"))
ORDER = ("u", "delta", "A", "B", "C", "D", "z", "delta_bias", "initial_state")
BY_TOKEN = ("u", "delta", "B", "C", "z")
REVERSE = {"forward": (False,), "reverse": (True,), "both": (False, True)}
FLOAT32 = {"y": 2e-6, "state": 2e-6, "gradient": 1e-5}


class Case(NamedTuple):
    token: int
    dim: int
    state: int
    direction: str = "forward"
    suffix: int = 0
    zoh: bool = False
    full: bool = True  # all arguments, and softplus
    batch: int = 1


CASES = [
    Case(1, 3, 1, full=False),
    Case(1, 17, 4, "reverse", 1, zoh=True),
    Case(7, 33, 4, "reverse", 1),
    Case(7, 17, 3, "both", zoh=True),
    Case(7, 3, 16, "both", 1, zoh=True, full=False),
    Case(7, 3, 5, "reverse", 7, batch=2),
    Case(37, 3, 16, "reverse", 1),
    Case(25, 3, 4, "both", zoh=True, full=False),
]
LONGER = [
    Case(197, 192, 16, "both", 1, batch=3),
    Case(197, 72, 16, "reverse", 1, zoh=True, batch=2),
    Case(1000, 33, 16, "both", 1, full=False),
    Case(300, 65, 4, "forward", zoh=True),
    Case(100, 40, 64, "reverse"),
    Case(50, 40, 256, "forward"),
]


def scan(function, case):
    options = {"softplus": case.full, "zoh": case.zoh, "reverse": REVERSE[case.direction], "suffix": case.suffix}
    return lambda x: function(*(x.get(name) for name in ORDER), **options)


def tensors(problem, case, dtype=torch.float64):
    lead = (len(REVERSE[case.direction]),)
    return problem(case.batch, case.token, case.dim, case.state, full=case.full, lead=lead, dtype=dtype)


def assert_close(found, truth, tolerance):
    for name, value in found.items():
        bound = tolerance["gradient" if name.startswith("gradient") else name]
        error, size = (value.detach().cpu().double() - truth[name].double()).norm(), truth[name].double().norm()
        assert error <= bound * size, f"{name}: {error:.1e} of {size:.1e}"


@pytest.fixture
def interpreter(interpreted):
    return interpreted(KERNELS, LAUNCH)


@pytest.fixture
def check(problem, results):
    """Compare a function on float32 copies of a problem with the reference in float64."""

    def compare(function, case, *, change=lambda x: x, state=True):
        arguments = tensors(problem, case)
        truth = results(lambda x: scan(selective_scan_reference, case)(change(x)), arguments, state=state)
        single = {name: x.detach().float().requires_grad_() for name, x in arguments.items()}
        assert_close(results(lambda x: scan(function, case)(change(x)), single, state=state), truth, FLOAT32)

    return compare


@pytest.mark.parametrize("case", CASES, ids=str)
def test_equals_the_reference(interpreter, check, case):
    check(interpreter.selective_scan_triton, case, state=case.full)


@pytest.mark.parametrize("given", [("D",), ("z",), ("delta_bias",), ("initial_state",)])
def test_each_optional_argument_may_be_the_only_one(interpreter, check, given):
    def change(x):
        return {name: value for name, value in x.items() if name in (*ORDER[:5], *given)} | unused(x, given)

    def unused(x, given):
        # each stays part of the sum, with a gradient of zero
        return {"u": x["u"] + sum(0 * x[name].sum() for name in ORDER[5:] if name not in given)}

    check(interpreter.selective_scan_triton, Case(5, 3, 4, "reverse", 1, zoh="z" in given), change=change)


def test_chunks_joined_by_a_carry_equal_one_scan(interpreter, check, monkeypatch):
    monkeypatch.setattr(interpreter, "_chunks", lambda programs, tokens, device: (3, 24))
    check(interpreter.selective_scan_triton, Case(53, 3, 4, "reverse", 1, zoh=True))


def test_offsets_may_need_64_bits(interpreter, check, monkeypatch):
    monkeypatch.setattr(interpreter, "_WIDE", 1)
    check(interpreter.selective_scan_triton, Case(7, 3, 4, "reverse", 1))


def test_reads_any_strides(interpreter, check):
    def change(x):
        wide = torch.cat([x["B"], x["C"], x["B"]], -1)  # as a projection leaves them
        n = x["B"].shape[-1]
        views = {
            "B": wide[..., :n],
            "C": wide[..., n : 2 * n],
            "u": x["u"].mT.contiguous().mT,
            "A": x["A"].mT.clone().mT,
        }
        return x | views | {"D": x["D"][..., :1].expand_as(x["D"])}

    check(interpreter.selective_scan_triton, Case(7, 3, 4, "both", 1), change=change)


def test_an_expanded_axis_is_shared(interpreter, check):
    def change(x):
        shared = {name: value[:1].expand_as(value) for name, value in x.items() if name not in ("A", "D")}
        return (
            x | shared | {"delta": x["delta"][:, :, :, :1].expand_as(x["delta"]), "z": x["z"][:, :1].expand_as(x["z"])}
        )

    check(interpreter.selective_scan_triton, Case(7, 3, 4, "both", 1, batch=2), change=change)


def test_the_state_alone_gives_gradients(interpreter, problem):
    case = Case(7, 3, 4, "reverse", 1)
    arguments = {name: x for name, x in tensors(problem, case).items() if name not in ("C", "D", "z")}
    others = {name: x.detach() for name, x in tensors(problem, case).items()}

    def gradients(function, dtype):
        x = {name: value.detach().to(dtype).requires_grad_(name in arguments) for name, value in others.items()}
        state = scan(function, case)(x)[1]
        return torch.autograd.grad((state * state).sum(), [x[name] for name in arguments])

    truth = gradients(selective_scan_reference, torch.float64)
    for value, true in zip(gradients(interpreter.selective_scan_triton, torch.float32), truth, strict=True):
        assert (value - true).norm() <= 1e-5 * true.norm()


def test_zero_order_hold_is_exact_for_every_rate_and_step(interpreter):
    # one state per channel and exponent: from where e^x - 1 cancels to where e^x vanishes, each way, and 0 itself
    exponents = torch.cat([torch.logspace(-9, 1, 31), torch.linspace(0.3, 0.4, 16), torch.zeros(1)]).double()
    A = torch.stack([-exponents, exponents]).T[:, None].reshape(1, -1, 2)
    dim = A.shape[1]
    u, delta = torch.ones(1, 1, 1, dim).double(), torch.full((1, 1, 1, dim), 0.75).double()
    B = torch.ones(1, 1, 1, 2).double()

    def state_and_gradients(function, dtype):
        x = [value.to(dtype).requires_grad_() for value in (u, delta, A, B, B)]
        options = {"softplus": False, "zoh": True, "reverse": (False,), "suffix": 0}
        state = function(*x, None, None, None, None, **options)[1]
        return state, *torch.autograd.grad(state.sum(), x[1:3])

    truth = state_and_gradients(selective_scan_reference, torch.float64)
    found = state_and_gradients(interpreter.selective_scan_triton, torch.float32)
    for value, true, name in zip(found, truth, ("state", "delta", "A"), strict=True):
        torch.testing.assert_close(
            value.double(), true, rtol=2e-6, atol=0, msg=lambda text, name=name: f"{name}: {text}"
        )


def test_softplus_keeps_its_precision_for_tiny_and_large_steps(interpreter):
    delta = torch.linspace(-30, 30, 64).reshape(1, 1, 1, 64)
    ones = torch.ones_like(delta)

    def state_and_gradient(function, dtype):
        x = delta.to(dtype).requires_grad_()
        zero, one = torch.zeros(1, 64, 1, dtype=dtype), torch.ones(1, 1, 1, 1, dtype=dtype)
        options = {"softplus": True, "zoh": False, "reverse": (False,), "suffix": 0}
        state = function(ones.to(dtype), x, zero, one, one, None, None, None, None, **options)[1]
        return state, *torch.autograd.grad(state.sum(), x)

    # not the reference's own, which is x itself above 20
    truth = (torch.log1p(torch.exp(delta.double())).reshape(1, 1, 64, 1), torch.sigmoid(delta.double()))
    for value, true in zip(state_and_gradient(interpreter.selective_scan_triton, torch.float32), truth, strict=True):
        # e^-30 by way of 2^-43: 43 rounds at 4e-6 of 1
        torch.testing.assert_close(value.double(), true, rtol=2e-6, atol=0)


def test_half_precision_only_rounds_what_is_stored(interpreter, problem, results):
    case = Case(7, 3, 4, "both", 1)
    half = {
        name: x.detach().half() if name in BY_TOKEN else x for name, x in tensors(problem, case, torch.float32).items()
    }
    half = {name: x.detach().requires_grad_() for name, x in half.items()}
    exact = {name: x.detach().float().requires_grad_() for name, x in half.items()}
    found = results(scan(interpreter.selective_scan_triton, case), half)
    assert found["y"].dtype == torch.float16 and found["state"].dtype == torch.float32
    assert all(found[f"gradient of {name}"].dtype == x.dtype for name, x in half.items())
    assert_close(
        found, results(scan(selective_scan_reference, case), exact), {"y": 1e-3, "state": 1e-6, "gradient": 1e-3}
    )


def test_is_never_chosen_for_what_it_cannot_run():
    refuses = BACKENDS["triton"].refuses
    assert "GPU" in refuses(torch.zeros(1, 4, 8), state_size=16, kind=torch.float32)
    if not torch.cuda.is_available():
        assert selective_scan_backend(torch.zeros(1, 4, 8)) != "triton"


needs_gpu = pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")


def on_device(problem, case, dtype=torch.float32):
    """Make a problem on the device, and the same numbers in float64 on the CPU."""
    here = {
        name: x.detach().to(dtype if name in BY_TOKEN else torch.float32) for name, x in tensors(problem, case).items()
    }
    there = {name: x.cuda().requires_grad_() for name, x in here.items()}
    return there, {name: x.double().requires_grad_() for name, x in here.items()}


def gradients_on_device(case, arguments):
    y, state = scan(BACKENDS["triton"].run, case)(arguments)
    total = y.float().square().sum() + state.square().sum()
    return y, state, *torch.autograd.grad(total, list(arguments.values()))


@pytest.mark.gpu
@needs_gpu
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16], ids=str)
@pytest.mark.parametrize("case", CASES + LONGER, ids=str)
def test_equals_the_reference_on_a_gpu(problem, case, dtype):
    there, here = on_device(problem, case, dtype)
    found = gradients_on_device(case, there)
    y, state = scan(selective_scan_reference, case)(here)
    # the gradient of what the kernel returned, so that rounding of y counts once
    outside = [x.detach().cpu().double() for x in found[:2]]
    truth = (y, state, *torch.autograd.grad((y, state), list(here.values()), [2 * x for x in outside]))
    names = ("y", "state", *(f"gradient of {name}" for name in here))
    exact = {"y": 1e-4, "state": 1e-4, "gradient": 1e-4}
    rounded = {"y": 1e-2, "state": 1e-4, "gradient": 3e-2}
    found = dict(zip(names, found, strict=True))
    assert_close(found, dict(zip(names, truth, strict=True)), exact if dtype == torch.float32 else rounded)


@pytest.mark.gpu
@needs_gpu
@pytest.mark.parametrize("case", LONGER[:3], ids=str)
def test_a_sequence_in_chunks_equals_one_in_a_piece_on_a_gpu(problem, monkeypatch, case):
    from auharness.ops.selective_scan import triton_gpu

    there, _ = on_device(problem, case)
    y, state = scan(triton_gpu.selective_scan_triton, case)(there)
    weights = [torch.randn_like(x) for x in (y, state)]
    pieces = (y, state, *torch.autograd.grad((y, state), list(there.values()), weights))
    monkeypatch.setattr(triton_gpu, "_chunks", lambda programs, tokens, device: (1, -(-tokens // 24) * 24))
    y, state = scan(triton_gpu.selective_scan_triton, case)(there)
    whole = (y, state, *torch.autograd.grad((y, state), list(there.values()), weights))
    for value, truth in zip(pieces, whole, strict=True):
        assert (value - truth).norm() <= 1e-4 * truth.norm()


@pytest.mark.gpu
@needs_gpu
@pytest.mark.parametrize("case", [LONGER[0], LONGER[2]], ids=str)
def test_does_not_wait_for_the_device(problem, case):
    there, _ = on_device(problem, case, torch.bfloat16)
    gradients_on_device(case, there)
    torch.cuda.synchronize()
    torch.cuda.set_sync_debug_mode("error")
    try:
        gradients_on_device(case, there)
    finally:
        torch.cuda.set_sync_debug_mode("default")


@pytest.mark.gpu
@needs_gpu
@pytest.mark.parametrize("case", [LONGER[0], LONGER[2]], ids=str)
def test_a_cuda_graph_replays_it_on_new_numbers(problem, case):
    there, _ = on_device(problem, case)
    side = torch.cuda.Stream()
    side.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(side):
        gradients_on_device(case, there)
    torch.cuda.current_stream().wait_stream(side)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        captured = gradients_on_device(case, there)
    with torch.no_grad():
        for x in there.values():
            x.mul_(0.9)
    graph.replay()
    for value, eager in zip(captured, gradients_on_device(case, there), strict=True):
        torch.testing.assert_close(value, eager, rtol=0, atol=0)


@pytest.mark.gpu
@needs_gpu
def test_the_operator_chooses_it_on_a_gpu(problem):
    arguments = {name: x.detach().float().cuda() for name, x in problem(2, 37, 16, 16).items()}
    options = {"discretization": "zoh", "delta_softplus": True, "direction": "reverse", "suffix": 1}
    assert selective_scan_backend(arguments["u"], discretization="zoh", direction="reverse") == "triton"
    with torch.autocast("cuda", torch.bfloat16):
        y = selective_scan(**arguments, **options)
    truth = selective_scan(**{name: x.double().cpu() for name, x in arguments.items()}, **options, backend="reference")
    assert (y.double().cpu() - truth).norm() <= 1e-4 * truth.norm()
