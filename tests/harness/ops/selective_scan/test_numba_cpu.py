"""The compiled CPU path in float32 against the reference in float64: every output and every gradient."""

import os
import subprocess
import sys

import pytest
import torch

pytest.importorskip("numba")

from auharness.errors import UsageError
from auharness.ops.backends import recorded
from auharness.ops.selective_scan import selective_scan, selective_scan_backend

SIZES = [  # token, dim, state
    (1, 3, 1),
    (1, 48, 16),
    (7, 17, 4),
    (37, 3, 16),
    (37, 48, 1),
    (64, 130, 4),  # two blocks of channels, whole segments
    (197, 17, 16),
]
SCANS = [("forward", 0), ("reverse", 0), ("reverse", 1), ("both", 0), ("both", 1)]

# relative to the norm; measured 4e-7, and 8e-6 where the gradient of B is a sum of three that cancels
FORWARD, GRADIENT = 5e-6, 2e-5


def operator(backend="numba", **options):
    return lambda x: selective_scan(**x, backend=backend, return_state=True, **options)


def in_float64(arguments):
    return {name: x.detach().double().requires_grad_() for name, x in arguments.items()}


def assert_close(found, truth):
    assert found.keys() == truth.keys()
    for name, value in found.items():
        bar = GRADIENT if name.startswith("gradient") else FORWARD
        assert value.dtype == torch.float32, name
        assert (value - truth[name]).norm() <= bar * truth[name].norm(), name


@pytest.mark.parametrize(("direction", "suffix"), SCANS)
@pytest.mark.parametrize("discretization", ["euler", "zoh"])
@pytest.mark.parametrize(("token", "dim", "state"), SIZES)
@pytest.mark.parametrize("full", [True, False], ids=["all", "least"])
def test_equals_the_reference(problem, results, full, token, dim, state, discretization, direction, suffix):
    arguments = problem(2, token, dim, state, full=full, lead=(2,) if direction == "both" else (), dtype=torch.float32)
    options = {"discretization": discretization, "direction": direction, "suffix": suffix, "delta_softplus": full}
    truth = results(operator("reference", **options), in_float64(arguments), state=full)
    # with all arguments the last state counts in the gradients, with the fewest it does not
    assert_close(results(operator(**options), arguments, state=full), truth)


@pytest.mark.parametrize("given", ["D", "z", "delta_bias", "initial_state"])
@pytest.mark.parametrize("discretization", ["euler", "zoh"])
def test_each_optional_argument_may_be_the_only_one(problem, results, given, discretization):
    every, least = (problem(2, 19, 3, 4, full=full, dtype=torch.float32) for full in (True, False))
    arguments = least | {given: every[given]}
    options = {"discretization": discretization}
    truth = results(operator("reference", **options), in_float64(arguments))
    assert_close(results(operator(**options), arguments), truth)


@pytest.mark.parametrize("suffix", [3, 32, 37])
def test_a_suffix_may_span_segments(problem, results, suffix):
    arguments = problem(1, 37, 3, 4, dtype=torch.float32)
    options = {"direction": "reverse", "suffix": suffix, "delta_softplus": True}
    truth = results(operator("reference", **options), in_float64(arguments))
    assert_close(results(operator(**options), arguments), truth)


def test_takes_any_memory_layout(problem, results):
    arguments = problem(2, 20, 17, 4, lead=(2,), dtype=torch.float32)
    options = {"direction": "both", "suffix": 1, "delta_softplus": True}
    truth = results(operator("reference", **options), in_float64(arguments))
    turned = {name: x.detach().mT.contiguous().mT.requires_grad_() for name, x in arguments.items()}
    assert_close(results(operator(**options), turned), truth)
    # cut from a wider array, as from the output of a projection
    cut = {name: torch.cat((x, x, x), -1).detach() for name, x in arguments.items()}
    cut = {name: x[..., x.shape[-1] // 3 : x.shape[-1] // 3 * 2].requires_grad_() for name, x in cut.items()}
    assert_close(results(operator(**options), cut), truth)


@pytest.mark.parametrize("axis", [0, 1, 2, 3])
def test_takes_tensors_expanded_along_any_axis(problem, results, axis):
    arguments = problem(2, 20, 17, 4, lead=(2,), dtype=torch.float32)
    narrow = {name: x.detach().narrow(min(axis, x.ndim - 1), 0, 1).requires_grad_() for name, x in arguments.items()}

    def scan(backend):
        def call(x):
            spread = {name: value.expand(arguments[name].shape) for name, value in x.items()}
            return operator(backend, direction="both", suffix=1, delta_softplus=True)(spread)

        return call

    assert_close(results(scan("numba"), narrow), results(scan("reference"), in_float64(narrow)))


@pytest.mark.parametrize("discretization", ["euler", "zoh"])
def test_does_not_depend_on_the_number_of_threads(problem, results, monkeypatch, discretization):
    arguments = problem(3, 40, 150, 4, lead=(2,), dtype=torch.float32)
    scan = operator(discretization=discretization, direction="both", suffix=1, delta_softplus=True)
    one = results(scan, arguments)
    for threads in (2, 5):
        monkeypatch.setattr(torch, "get_num_threads", lambda threads=threads: threads)
        for name, value in results(scan, arguments).items():
            torch.testing.assert_close(value, one[name], rtol=0, atol=0, msg=name)


@pytest.mark.parametrize("discretization", ["euler", "zoh"])
def test_uses_no_memory_it_has_not_written(problem, results, discretization):
    arguments = problem(2, 37, 3, 4, lead=(2,), dtype=torch.float32)
    scan = operator(discretization=discretization, direction="both", suffix=1, delta_softplus=True)
    assert torch.empty(3).isnan().all()  # set up for all tests
    found = results(scan, arguments)
    torch.use_deterministic_algorithms(False)
    try:
        truth = results(scan, arguments)
    finally:
        torch.use_deterministic_algorithms(True)
    for name, value in found.items():
        torch.testing.assert_close(value, truth[name], rtol=0, atol=0)
        assert value.isfinite().all()


@pytest.mark.parametrize("discretization", ["euler", "zoh"])
def test_is_the_same_with_and_without_gradients(problem, discretization):
    arguments = problem(2, 37, 3, 4, dtype=torch.float32)
    scan = operator(discretization=discretization, delta_softplus=True)
    with torch.no_grad():
        without = scan(arguments)
    for value, truth in zip(without, scan(arguments), strict=True):
        torch.testing.assert_close(value, truth, rtol=0, atol=0)


def test_leaves_what_it_is_given_as_it_was_and_may_go_back_twice(problem):
    arguments = problem(2, 37, 3, 4, dtype=torch.float32)
    before = {name: x.detach().clone() for name, x in arguments.items()}
    y, state = operator(delta_softplus=True)(arguments)
    given = torch.randn_like(y), torch.randn_like(state)
    kept = [x.clone() for x in given]
    first = torch.autograd.grad((y, state), list(arguments.values()), given, retain_graph=True)
    second = torch.autograd.grad((y, state), list(arguments.values()), given)
    for found, truth in zip((*given, *second, *arguments.values()), (*kept, *first, *before.values()), strict=True):
        torch.testing.assert_close(found, truth, rtol=0, atol=0)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision_is_computed_in_float32(problem, dtype):
    arguments = {name: x.detach().to(dtype) for name, x in problem(1, 40, 8, 4, dtype=torch.float32).items()}
    truth, last = operator(delta_softplus=True)({name: x.float() for name, x in arguments.items()})
    y, state = operator(delta_softplus=True)(arguments)
    assert (y.dtype, state.dtype) == (dtype, torch.float32)
    torch.testing.assert_close(y, truth.to(dtype), rtol=0, atol=0)
    torch.testing.assert_close(state, last, rtol=0, atol=0)


@pytest.mark.parametrize("discretization", ["euler", "zoh"])
def test_what_is_forgotten_at_once_underflows_to_zero(problem, results, discretization):
    arguments = problem(1, 40, 3, 4, full=False, dtype=torch.float32)
    with torch.no_grad():
        arguments["delta"].fill_(3)
        arguments["A"].copy_(-torch.tensor([1e2, 1e4, 1e20, 3e37]).expand(3, 4))
    found = results(operator(discretization=discretization), arguments)
    assert all(x.isfinite().all() for x in found.values())
    weight = 3 if discretization == "euler" else -1 / arguments["A"].detach()
    last = weight * arguments["B"][:, -1, None] * arguments["u"][:, -1, :, None]
    torch.testing.assert_close(found["state"], last.detach())
    assert (found["gradient of A"][:, 1:] == 0).all() or discretization == "zoh"


@pytest.mark.parametrize("discretization", ["euler", "zoh"])
def test_keeps_its_precision_from_no_decay_to_all(problem, results, discretization):
    # one token from nothing: the gradient by A is that of the input's weight alone, whose closed form cancels near 0
    arguments = problem(1, 1, 1, 25, full=False, dtype=torch.float32)
    with torch.no_grad():
        arguments["delta"].fill_(1)
        arguments["A"][0, 1:] = -torch.logspace(-12, 2, 24)
        arguments["A"][0, 0] = 0
    arguments["initial_state"] = torch.ones(1, 1, 25, requires_grad=True)
    if discretization == "zoh":
        del arguments["initial_state"]
    found = results(operator(discretization=discretization), arguments)
    truth = results(operator("reference", discretization=discretization), in_float64(arguments))
    for name in ("gradient of A", "state"):
        torch.testing.assert_close(found[name].double(), truth[name], rtol=5e-6, atol=1e-30)


def test_nan_stays_in_its_sequence(problem):
    arguments = problem(2, 37, 3, 4, dtype=torch.float32)
    with torch.no_grad():
        arguments["u"][0, 20, 1] = torch.nan
        y, state = operator(delta_softplus=True)(arguments)
    wrong = torch.zeros_like(y, dtype=torch.bool)
    wrong[0, 20:, 1] = True
    assert (y.isnan() == wrong).all()
    assert (state.isnan().any(-1) == torch.tensor([[False, True, False], [False] * 3])).all()


def test_keeps_a_state_per_segment_and_no_more(problem):
    arguments = problem(1, 197, 16, 16, dtype=torch.float32)
    kept = {}

    def keep(x):
        kept[x.untyped_storage().data_ptr()] = x.untyped_storage().nbytes()
        return x

    with torch.autograd.graph.saved_tensors_hooks(keep, lambda x: x):
        outputs = operator(delta_softplus=True)(arguments)
    for x in arguments.values():
        del kept[x.untyped_storage().data_ptr()]
    assert sum(kept.values()) == 4 * 7 * 16 * 16  # 6 segments of 32 tokens and one of 5
    del outputs


def test_serves_float32_on_the_cpu_and_says_why_not_the_rest():
    u = torch.zeros(1, 4, 8)
    assert selective_scan_backend(u) == selective_scan_backend(u.bfloat16()) == "numba"
    for other, reason in ((u.double(), "float64"), (u.to("meta"), "meta")):
        assert selective_scan_backend(other) == "torch"
        with pytest.raises(UsageError, match=reason):
            selective_scan_backend(other, backend="numba")


@pytest.mark.parametrize("name", ["delta", "A", "z", "initial_state"])
def test_any_float64_among_the_arguments_is_left_to_torch(problem, name):
    arguments = {name: x.detach() for name, x in problem(1, 9, 3, 4, dtype=torch.float32).items()}
    arguments[name] = arguments[name].double()
    with pytest.raises(UsageError, match="'numba' cannot be used here: its kernels have no float64"):
        operator()(arguments)
    with recorded() as used:
        _, state = operator(None)(arguments)
    assert used == {"selective_scan": "torch"}
    _, truth = operator("reference")(arguments)
    assert state.dtype == torch.float64
    torch.testing.assert_close(state, truth, rtol=1e-12, atol=0)


def test_a_second_process_finds_the_code_on_disk(tmp_path):
    program = tmp_path / "scan.py"
    program.write_text(
        "import time, torch\n"
        "from auharness.ops.selective_scan import selective_scan\n"
        "u, A, B = torch.zeros(1, 4, 8), torch.zeros(8, 2), torch.zeros(1, 4, 2)\n"
        "u.requires_grad_()\n"
        "start = time.process_time()\n"
        "selective_scan(u, u, A, B, B, backend='numba').sum().backward()\n"
        "print(time.process_time() - start)\n"
    )
    # this process has compiled the kernels, so they are there
    run = subprocess.run([sys.executable, program], capture_output=True, text=True, check=True, env=os.environ)
    assert float(run.stdout) < 3
