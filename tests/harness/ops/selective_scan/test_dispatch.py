"""The front of the operator: directions, shared axes, types, states, messages."""

import pytest
import torch

from auharness.errors import UsageError
from auharness.ops.scan import reverse_tokens
from auharness.ops.selective_scan import selective_scan, selective_scan_backend

BACKENDS = ["reference", "torch"]
BY_TOKEN = ("u", "delta", "B", "C", "z")


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("suffix", [0, 1, 3])
def test_reverse_is_forward_on_the_reversed_tokens(problem, backend, suffix):
    arguments = problem(2, 20, 3, 4)
    turned = {name: reverse_tokens(x, suffix=suffix) if name in BY_TOKEN else x for name, x in arguments.items()}
    options = {"delta_softplus": True, "backend": backend, "return_state": True}
    truth, truth_state = selective_scan(**turned, **options)
    y, state = selective_scan(**arguments, **options, direction="reverse", suffix=suffix)
    torch.testing.assert_close(reverse_tokens(y, suffix=suffix), truth)
    torch.testing.assert_close(state, truth_state)


@pytest.mark.parametrize("backend", BACKENDS)
def test_both_is_one_scan_each_way(problem, backend):
    arguments = problem(2, 20, 3, 4, lead=(2,))
    options = {"delta_softplus": True, "suffix": 1, "backend": backend, "return_state": True}
    y, state = selective_scan(**arguments, direction="both", **options)
    for g, direction in enumerate(("forward", "reverse")):
        one = {name: x[g] for name, x in arguments.items()}
        truth, truth_state = selective_scan(**one, direction=direction, **options)
        torch.testing.assert_close(y[g], truth)
        torch.testing.assert_close(state[g], truth_state)


@pytest.mark.parametrize("backend", BACKENDS)
def test_an_axis_of_one_is_shared_by_both_directions(problem, results, backend):
    shared = problem(2, 20, 3, 4, lead=(1,))

    def scan(x):
        options = {"direction": "both", "suffix": 1, "backend": backend, "return_state": True}
        return selective_scan(**x, delta_softplus=True, **options)

    truth = results(lambda x: scan({name: value.expand(2, *value.shape[1:]) for name, value in x.items()}), shared)
    for name, value in results(scan, shared).items():
        torch.testing.assert_close(value, truth[name], msg=name)


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("discretization", ["euler", "zoh"])
@pytest.mark.parametrize("boundary", [1, 16, 20])
def test_a_state_continues_the_scan_at_any_token(problem, results, backend, discretization, boundary):
    arguments = problem(2, 37, 3, 4)
    options = {"discretization": discretization, "delta_softplus": True, "backend": backend, "return_state": True}

    def in_two(x):
        head, tail = (
            {name: value[:, part] if name in BY_TOKEN else value for name, value in x.items()}
            for part in (slice(boundary), slice(boundary, None))
        )
        first, state = selective_scan(**head, **options)
        rest, last = selective_scan(**tail | {"initial_state": state}, **options)
        return torch.cat((first, rest), 1), last

    truth = results(lambda x: selective_scan(**x, **options), arguments)
    for name, value in results(in_two, arguments).items():
        torch.testing.assert_close(value, truth[name], msg=name)


@pytest.mark.parametrize("backend", BACKENDS)
def test_half_precision_is_computed_in_float32(problem, backend):
    arguments = {name: x.detach() for name, x in problem(1, 40, 8, 4, dtype=torch.float32).items()}
    half = arguments | {name: arguments[name].bfloat16() for name in BY_TOKEN}
    options = {"delta_softplus": True, "backend": backend, "return_state": True}
    truth, last = selective_scan(**{name: x.float() for name, x in half.items()}, **options)
    with torch.autocast("cpu", torch.bfloat16):
        y, state = selective_scan(**half, **options)
    assert state.dtype == torch.float32
    torch.testing.assert_close(y, truth.bfloat16(), rtol=0, atol=0)
    torch.testing.assert_close(state, last, rtol=0, atol=0)


def test_no_reference_and_no_float64_are_chosen_unasked():
    u = torch.zeros(1, 4, 8)
    assert selective_scan_backend(u.double()) == "torch"
    assert selective_scan_backend(u) in ("numba", "torch")
    assert selective_scan_backend(u, backend="reference") == "reference"


@pytest.mark.parametrize("backend", ["mamba-ssm", "triton"])
def test_a_backend_of_the_gpu_says_why_it_does_not_serve_the_cpu(problem, backend):
    with pytest.raises(UsageError, match=f"backend '{backend}' cannot be used here: .*; leave backend unset"):
        selective_scan(**problem(1, 10, 3, 4), backend=backend)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"backend": "torhc"}, "no backend 'torhc'; did you mean 'torch'"),
        ({"direction": "reversed"}, "no direction 'reversed'; did you mean 'reverse'"),
        ({"discretization": "eular"}, "no discretization 'eular'; did you mean 'euler'"),
    ],
)
def test_an_unknown_name_is_answered_with_its_neighbour(problem, options, message):
    arguments = problem(1, 10, 3, 4)
    with pytest.raises(UsageError, match=message):
        selective_scan(**arguments, **options)
    with pytest.raises(UsageError, match=message):
        selective_scan_backend(arguments["u"], **options)


@pytest.mark.parametrize("suffix", [-1, 11])
def test_a_suffix_outside_the_sequence_is_refused(problem, suffix):
    with pytest.raises(UsageError, match=f"suffix is {suffix}, expected 0 to 10"):
        selective_scan(**problem(1, 10, 3, 4), suffix=suffix)


@pytest.mark.parametrize(
    ("name", "shape", "message"),
    [
        ("u", (10, 3), "u is"),
        ("u", (1, 0, 3), "u is"),
        ("delta", (1, 9, 3), r"delta is \[1, 1, 9, 3\], expected \[1, 1, 10, 3\]"),
        ("A", (3,), "A is"),
        ("A", (2, 4), "A is"),
        ("B", (1, 10, 5), "B is"),
        ("C", (1, 9, 4), "C is"),
        ("D", (2,), "D is"),
        ("z", (1, 10, 2), "z is"),
        ("delta_bias", (4,), "delta_bias is"),
        ("initial_state", (1, 3, 5), "initial_state is"),
    ],
)
def test_a_shape_that_does_not_fit_is_named(problem, name, shape, message):
    with pytest.raises(ValueError, match=message):
        selective_scan(**problem(1, 10, 3, 4) | {name: torch.zeros(shape)})
