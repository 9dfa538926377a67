"""The front of the operator: directions, shared axes, types, states, messages."""

import pytest
import torch

from auharness.errors import UsageError
from auharness.ops.scan import reverse_tokens
from auharness.ops.ssd import ssd, ssd_backend

BACKENDS = ["reference", "torch"]


def operator(backend, **options):
    def call(arguments):
        return ssd(*arguments[:5], initial_state=arguments[5], backend=backend, return_state=True, **options)

    return call


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("suffix", [0, 1, 70])
def test_reverse_is_forward_on_the_reversed_tokens(problem, backend, suffix):
    arguments = problem(2, 70, 2, 3, 4)
    x, dt, A, B, C, first = arguments
    x, dt, B, C = (reverse_tokens(tokens, suffix=suffix, dim=1) for tokens in (x, dt, B, C))
    truth, truth_state = operator(backend)([x, dt, A, B, C, first])
    y, state = operator(backend, direction="reverse", suffix=suffix)(arguments)
    torch.testing.assert_close(reverse_tokens(y, suffix=suffix, dim=1), truth)
    torch.testing.assert_close(state, truth_state)


@pytest.mark.parametrize("shared", [True, False])
@pytest.mark.parametrize("backend", BACKENDS)
def test_both_is_one_scan_each_way(problem, backend, shared):
    arguments = problem(2, 70, 2, 3, 4, lead=(2,), shared=shared)
    y, state = operator(backend, direction="both", suffix=1)(arguments)
    for g, direction in enumerate(("forward", "reverse")):
        one = [tensor[g] for tensor in arguments]
        truth, truth_state = operator(backend, direction=direction, suffix=1)(one)
        torch.testing.assert_close(y[g], truth)
        torch.testing.assert_close(state[g], truth_state)


@pytest.mark.parametrize("backend", BACKENDS)
def test_an_axis_of_one_is_shared_by_both_directions(problem, results, backend):
    shared = problem(2, 20, 2, 3, 4, lead=(1,))
    call = operator(backend, direction="both", suffix=1)
    truth = results(lambda tensors: call([tensor.expand(2, *tensor.shape[1:]) for tensor in tensors]), shared)
    for name, value in results(call, shared).items():
        torch.testing.assert_close(value, truth[name], msg=name)


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("cut", [1, 64, 69])
def test_a_state_continues_the_scan_anywhere_also_for_gradients(problem, results, backend, cut):
    arguments = problem(2, 70, 2, 3, 4)

    def in_two(tensors):
        x, dt, A, B, C, first = tensors
        (x1, x2), (dt1, dt2), (B1, B2), (C1, C2) = (tokens.tensor_split([cut], 1) for tokens in (x, dt, B, C))
        y1, state = operator(backend)([x1, dt1, A, B1, C1, first])
        y2, state = operator(backend)([x2, dt2, A, B2, C2, state])
        return torch.cat((y1, y2), 1), state

    truth = results(operator(backend), arguments)
    for name, value in results(in_two, arguments).items():
        torch.testing.assert_close(value, truth[name], msg=name)


@pytest.mark.parametrize("backend", BACKENDS)
def test_one_of_b_and_c_may_be_shared_by_the_heads(problem, backend):
    x, dt, A, B, C, _ = problem(2, 70, 2, 3, 4)
    shared = B[:, :, 0]
    truth = ssd(x, dt, A, shared[:, :, None].expand_as(B), C, backend=backend)
    torch.testing.assert_close(ssd(x, dt, A, shared, C, backend=backend), truth)
    truth = ssd(x, dt, A, C, shared[:, :, None].expand_as(B), backend=backend)
    torch.testing.assert_close(ssd(x, dt, A, C, shared, backend=backend), truth)


@pytest.mark.parametrize("backend", BACKENDS)
def test_no_first_state_is_a_state_of_zeros(problem, backend):
    *arguments, first = problem(2, 70, 2, 3, 4)
    truth = ssd(*arguments, initial_state=torch.zeros_like(first), backend=backend)
    torch.testing.assert_close(ssd(*arguments, backend=backend), truth, rtol=0, atol=0)


@pytest.mark.parametrize("backend", BACKENDS)
def test_half_precision_is_computed_in_float32(problem, backend):
    x, dt, A, B, C, _ = (tensor.detach() for tensor in problem(1, 70, 2, 8, 4, dtype=torch.float32))
    x, B, C = (tensor.bfloat16() for tensor in (x, B, C))
    truth = ssd(x.float(), dt, A, B.float(), C.float(), backend=backend)
    with torch.autocast("cpu", torch.bfloat16):
        y, state = ssd(x, dt, A, B, C, backend=backend, return_state=True)
    torch.testing.assert_close(y, truth.bfloat16(), rtol=0, atol=0)
    assert state.dtype == torch.float32


def test_the_chunked_form_is_the_default_on_a_cpu():
    assert ssd_backend(torch.zeros(1, 4, 2, 8)) == "torch"
    assert ssd_backend(torch.zeros(1, 4, 2, 8), backend="reference") == "reference"


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"backend": "torhc"}, "ssd has no backend 'torhc'; did you mean 'torch'"),
        ({"direction": "reversed"}, "ssd has no direction 'reversed'; did you mean 'reverse'"),
        ({"suffix": 11}, "ssd: suffix is 11, expected 0 to 10"),
        ({"suffix": -1}, "ssd: suffix is -1, expected 0 to 10"),
    ],
)
def test_a_wrong_setting_is_named(problem, options, message):
    with pytest.raises(UsageError, match=message):
        ssd(*problem(1, 10, 2, 3, 4)[:5], **options)


@pytest.mark.parametrize(
    ("index", "shape", "message"),
    [
        (0, (10, 2, 3), "x is"),
        (1, (1, 9, 2), r"dt is \[1, 1, 9, 2\], expected \[1, 1, 10, 2\]"),
        (2, (3,), "A is"),
        (3, (1, 10, 3, 4), r"B is \[1, 1, 10, 3, 4\], expected \[1, 1, 10, 2, 4\]"),
        (3, (1, 10, 0), "B is .* none empty"),
        (4, (1, 10, 2, 5), r"C is \[1, 1, 10, 2, 5\], expected \[1, 1, 10, 2, 4\]"),
        (5, (1, 2, 4, 3), r"initial_state is \[1, 1, 2, 4, 3\], expected \[1, 1, 2, 3, 4\]"),
    ],
)
def test_a_shape_that_does_not_fit_is_named(problem, index, shape, message):
    arguments = problem(1, 10, 2, 3, 4)
    arguments[index] = torch.zeros(shape)
    with pytest.raises(ValueError, match=message):
        ssd(*arguments[:5], initial_state=arguments[5])
