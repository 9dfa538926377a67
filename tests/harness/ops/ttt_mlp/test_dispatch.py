"""The front of the operator: directions, shared axes, types, states, messages."""

import pytest
import torch

from auharness.errors import UsageError
from auharness.ops.backends import recorded
from auharness.ops.scan import reverse_tokens
from auharness.ops.ttt_mlp import ttt_mlp, ttt_mlp_backend

BACKENDS = ["reference", "torch"]


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("suffix", [0, 1, 3])
def test_reverse_is_forward_on_the_reversed_tokens(problem, backend, suffix):
    arguments = problem(2, 2, 10, 4, 3)
    tokens = [reverse_tokens(x, suffix=suffix, dim=2) for x in arguments[:4]]
    truth = ttt_mlp(*tokens, *arguments[4:], mini_batch=3, backend=backend)
    out = ttt_mlp(*arguments, mini_batch=3, direction="reverse", suffix=suffix, backend=backend)
    torch.testing.assert_close(reverse_tokens(out, suffix=suffix, dim=2), truth)


@pytest.mark.parametrize("backend", BACKENDS)
def test_both_is_one_scan_each_way(problem, backend):
    arguments = problem(2, 2, 10, 4, 3, lead=(2,))
    options = {"mini_batch": 3, "suffix": 1, "backend": backend, "return_state": True}
    out, state = ttt_mlp(*arguments, direction="both", **options)
    for g, direction in enumerate(("forward", "reverse")):
        one = [x if x.ndim == 1 else x[g] for x in arguments]
        truth, truth_state = ttt_mlp(*one, direction=direction, **options)
        torch.testing.assert_close(out[g], truth)
        torch.testing.assert_close([x[g] for x in state], list(truth_state))


@pytest.mark.parametrize("backend", BACKENDS)
def test_an_axis_of_one_is_shared_by_both_directions(problem, results, backend):
    shared = problem(2, 2, 10, 4, 3, lead=(1,))

    def scan(arguments):
        options = {"direction": "both", "suffix": 1, "backend": backend, "return_state": True}
        out, state = ttt_mlp(*arguments, mini_batch=3, **options)
        return out, *state

    def repeated(arguments):
        return scan([x if x.ndim == 1 else x.expand(2, *x.shape[1:]) for x in arguments])

    truth = results(repeated, shared)
    for name, value in results(scan, shared).items():
        torch.testing.assert_close(value, truth[name], msg=name)


@pytest.mark.parametrize("backend", BACKENDS)
def test_directions_may_have_token_scales_of_their_own(problem, backend):
    arguments = problem(1, 2, 10, 4, 3, lead=(2,))
    scales = torch.stack((arguments[4], 0.5 * arguments[4]))
    out = ttt_mlp(*arguments[:4], scales, *arguments[5:], mini_batch=3, direction="both", backend=backend)
    one = [x[1] for x in arguments[:4]] + [scales[1]] + [x[1] for x in arguments[5:]]
    torch.testing.assert_close(out[1], ttt_mlp(*one, mini_batch=3, direction="reverse", backend=backend))


@pytest.mark.parametrize("backend", BACKENDS)
def test_a_state_continues_the_scan_at_a_mini_batch_boundary(problem, backend):
    arguments = problem(2, 3, 11, 4, 4)
    whole, state = ttt_mlp(*arguments, mini_batch=4, backend=backend, return_state=True)
    head, tail = ([x[:, :, part] for x in arguments[:4]] for part in (slice(8), slice(8, None)))
    first, between = ttt_mlp(*head, *arguments[4:], mini_batch=4, backend=backend, return_state=True)
    tail = [*tail, arguments[4], *between, *arguments[9:]]
    rest, last = ttt_mlp(*tail, mini_batch=4, backend=backend, return_state=True)
    torch.testing.assert_close(torch.cat((first, rest), 2), whole)
    torch.testing.assert_close(last, state)


@pytest.mark.parametrize("backend", BACKENDS)
def test_half_precision_is_computed_in_float32(problem, backend):
    arguments = [x.detach() for x in problem(1, 2, 20, 8, 7, dtype=torch.float32)]
    half = [x.bfloat16() for x in arguments[:4]]
    truth = ttt_mlp(*(x.float() for x in half), *arguments[4:], mini_batch=7, backend=backend)
    with torch.autocast("cpu", torch.bfloat16):
        out = ttt_mlp(*half, *arguments[4:], mini_batch=7, backend=backend)
    torch.testing.assert_close(out, truth.bfloat16(), rtol=0, atol=0)


def test_gradients_are_computed_in_float32_where_autocast_is_on(problem):
    arguments = problem(1, 2, 20, 8, 7, dtype=torch.float32)
    out = ttt_mlp(*arguments, mini_batch=7, backend="torch")
    truth = torch.autograd.grad(out.sum(), arguments, retain_graph=True)
    with torch.autocast("cpu", torch.bfloat16):
        gradients = torch.autograd.grad(out.sum(), arguments)
    torch.testing.assert_close(gradients, truth, rtol=0, atol=0)


def test_the_fast_path_is_the_default():
    q = torch.zeros(1, 1, 4, 8)
    assert ttt_mlp_backend(q) == "torch"
    assert ttt_mlp_backend(q, backend="reference") == "reference"


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"backend": "torhc"}, "no backend 'torhc'; did you mean 'torch'"),
        ({"direction": "reversed"}, "no direction 'reversed'; did you mean 'reverse'"),
        ({"mini_batch": 0}, "mini_batch is 0, expected at least 1"),
        ({"suffix": 11}, "suffix is 11, expected 0 to 10"),
    ],
)
def test_a_wrong_setting_is_named(problem, options, message):
    with pytest.raises(UsageError, match=message):
        ttt_mlp(*problem(1, 2, 10, 4, 3), **{"mini_batch": 3} | options)


@pytest.mark.parametrize(
    ("index", "shape", "message"),
    [
        (0, (2, 10, 4), "q is"),
        (1, (1, 2, 9, 4), r"k is \[1, 1, 2, 9, 4\], expected \[1, 1, 2, 10, 4\]"),
        (3, (1, 2, 4), "lr is"),
        (4, (2,), "token_scale has 2 entries, mini-batches have 3"),
        (5, (2, 3, 16), r"w1 is \[1, 1, 2, 3, 16\], expected \[1, 1, 2, 4, 16\]"),
        (5, (2, 4, 0), r"w1 is \[1, 2, 4, 0\], expected head, d, hidden width"),
        (6, (2, 1, 15), r"b1 is .*, expected \[1, 1, 2, 1, 16\]"),
        (7, (2, 15, 4), r"w2 is .*, expected \[1, 1, 2, 16, 4\]"),
        (8, (2, 4, 4), "b2 is"),
        (9, (3, 4), "ln_weight is"),
    ],
)
def test_a_shape_that_does_not_fit_is_named(problem, index, shape, message):
    arguments = problem(1, 2, 10, 4, 3)
    arguments[index] = torch.zeros(shape)
    with pytest.raises(ValueError, match=message):
        ttt_mlp(*arguments, mini_batch=3)


@pytest.mark.parametrize("index", [1, 3, 5, 10])
def test_any_float64_among_the_arguments_is_computed_in_float64(problem, index):
    arguments = [x.detach() for x in problem(1, 2, 9, 4, 4, dtype=torch.float32)]
    arguments[index] = arguments[index].double()
    with recorded() as used:
        out, state = ttt_mlp(*arguments, mini_batch=4, return_state=True)
    assert used == {"ttt_mlp": "torch"}
    _, truth = ttt_mlp(*(x.double() for x in arguments), mini_batch=4, return_state=True)
    assert out.dtype == torch.float32
    torch.testing.assert_close(state, truth, rtol=1e-12, atol=1e-12)
