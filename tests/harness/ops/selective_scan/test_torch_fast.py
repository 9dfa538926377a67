"""The fast path in float64 against the recurrence written out as one sum: every output and every gradient.

Tolerance 1e-10 relative to the norm: both sides round at 1e-16, longest sum 197 tokens.
"""

import pytest
import torch

from auharness.ops.selective_scan import selective_scan

SIZES = [(1, 3, 1), (1, 8, 16), (7, 8, 4), (37, 3, 16), (37, 8, 1), (197, 3, 4)]  # token, dim, state
SCANS = [("forward", 0), ("reverse", 0), ("reverse", 1), ("both", 0), ("both", 1)]


def operator(backend="torch", **options):
    return lambda x: selective_scan(**x, backend=backend, return_state=True, **options)


def assert_close(found, truth):
    for name, value in found.items():
        assert (value - truth[name]).norm() <= 1e-10 * truth[name].norm(), name


@pytest.mark.parametrize(("direction", "suffix"), SCANS)
@pytest.mark.parametrize("discretization", ["euler", "zoh"])
@pytest.mark.parametrize(("token", "dim", "state"), SIZES)
@pytest.mark.parametrize("full", [True, False], ids=["all", "least"])
def test_equals_the_unrolled_recurrence(
    problem, results, unrolled, full, token, dim, state, discretization, direction, suffix
):
    both = direction == "both"
    arguments = problem(2, token, dim, state, full=full, lead=(2,) if both else ())
    options = {"softplus": full, "zoh": discretization == "zoh", "suffix": suffix}

    def written_out(x):
        if not both:
            return unrolled(x, reverse=direction == "reverse", **options)
        one_way = [{name: value[g] for name, value in x.items()} for g in range(2)]
        y, last = zip(*(unrolled(one, reverse=g == 1, **options) for g, one in enumerate(one_way)), strict=True)
        return torch.stack(y), torch.stack(last)

    fast = operator(discretization=discretization, direction=direction, suffix=suffix, delta_softplus=full)
    # with all arguments the last state counts in the gradients, with the fewest it does not
    assert_close(results(fast, arguments, state=full), results(written_out, arguments, state=full))


@pytest.mark.parametrize("given", ["D", "z", "delta_bias", "initial_state"])
@pytest.mark.parametrize("discretization", ["euler", "zoh"])
def test_each_optional_argument_may_be_the_only_one(problem, results, unrolled, given, discretization):
    every, least = problem(2, 19, 3, 4), problem(2, 19, 3, 4, full=False)
    arguments = least | {given: every[given]}
    truth = results(lambda x: unrolled(x, zoh=discretization == "zoh"), arguments)
    assert_close(results(operator(discretization=discretization), arguments), truth)


@pytest.mark.parametrize("suffix", [3, 20, 37])
def test_a_suffix_may_span_chunks(problem, results, unrolled, suffix):
    arguments = problem(1, 37, 3, 4)
    truth = results(lambda x: unrolled(x, softplus=True, reverse=True, suffix=suffix), arguments)
    assert_close(results(operator(direction="reverse", suffix=suffix, delta_softplus=True), arguments), truth)


@pytest.mark.parametrize("discretization", ["euler", "zoh"])
def test_sequences_in_several_blocks_are_like_those_in_one(problem, results, unrolled, monkeypatch, discretization):
    # room for three of seven sequences
    monkeypatch.setattr("auharness.ops.selective_scan.chunks._CORE_BLOCK", 3 * 16 * 3 * 4)
    arguments = problem(7, 37, 3, 4)
    truth = results(lambda x: unrolled(x, softplus=True, zoh=discretization == "zoh"), arguments)
    assert_close(results(operator(delta_softplus=True, discretization=discretization), arguments), truth)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("discretization", ["euler", "zoh"])
def test_keeps_its_precision_from_no_decay_to_all(problem, results, discretization, dtype):
    # one token from nothing: the gradient by A is that of the input's weight alone, whose closed form cancels near 0
    arguments = problem(1, 1, 1, 24, full=False, dtype=dtype)
    with torch.no_grad():
        arguments["delta"].fill_(1)
        arguments["A"].copy_(-torch.logspace(-12, 2, 24))
    if discretization == "euler":
        arguments = arguments | {"initial_state": torch.ones(1, 1, 24, dtype=dtype, requires_grad=True)}
    found = results(operator(discretization=discretization), arguments)["gradient of A"]
    wide = {name: x.detach().double().requires_grad_() for name, x in arguments.items()}
    truth = results(operator("reference", discretization=discretization), wide)["gradient of A"]
    torch.testing.assert_close(found.double(), truth, rtol=5e-6 if dtype == torch.float32 else 1e-13, atol=1e-30)


@pytest.mark.parametrize("discretization", ["euler", "zoh"])
def test_float32_rounds_like_the_reference(problem, results, discretization):
    arguments = problem(1, 197, 16, 16, dtype=torch.float32)
    wide = {name: x.detach().double().requires_grad_() for name, x in arguments.items()}
    options = {"discretization": discretization, "delta_softplus": True}
    truth = results(operator("reference", **options), wide)
    errors = {
        backend: {
            name: (value - truth[name]).norm() / truth[name].norm()
            for name, value in results(operator(backend, **options), arguments).items()
        }
        for backend in ("torch", "reference")
    }
    for name, error in errors["torch"].items():
        # powers of two of a rate times log2(e) round once more than the powers of e of the rate
        assert error < 3 * errors["reference"][name] + 1e-7, name


@pytest.mark.parametrize("discretization", ["euler", "zoh"])
def test_a_long_memory_does_not_overflow(problem, discretization):
    # the decay over a chunk is exp(-4800): forms that divide by cumulated decays fail here
    arguments = problem(1, 40, 2, 3, full=False, dtype=torch.float32)
    with torch.no_grad():
        arguments["delta"].fill_(3)
        arguments["A"].fill_(-100)
    y = selective_scan(**arguments, discretization=discretization, backend="torch")
    gradients = torch.autograd.grad(y.sum(), list(arguments.values()))
    weight = 3 if discretization == "euler" else 0.01
    truth = weight * torch.einsum("bln,bln,bld->bld", arguments["C"], arguments["B"], arguments["u"])
    torch.testing.assert_close(y, truth)
    assert all(x.isfinite().all() for x in gradients)


@pytest.mark.parametrize("discretization", ["euler", "zoh"])
def test_uses_no_memory_it_has_not_written(problem, results, discretization):
    arguments = problem(2, 27, 3, 4, lead=(2,))
    fast = operator(discretization=discretization, direction="both", suffix=1, delta_softplus=True)
    assert torch.empty(3).isnan().all()  # set up for all tests
    found = results(fast, arguments)
    torch.use_deterministic_algorithms(False)
    try:
        truth = results(fast, arguments)
    finally:
        torch.use_deterministic_algorithms(True)
    for name, value in found.items():
        torch.testing.assert_close(value, truth[name], rtol=0, atol=0)
        assert value.isfinite().all()


@pytest.mark.parametrize("discretization", ["euler", "zoh"])
def test_is_the_same_with_and_without_gradients(problem, discretization):
    arguments = problem(2, 27, 3, 4)
    fast = operator(discretization=discretization, delta_softplus=True)
    with torch.no_grad():
        without = fast(arguments)
    for value, truth in zip(without, fast(arguments), strict=True):
        torch.testing.assert_close(value, truth, rtol=0, atol=0)


def test_leaves_what_it_is_given_as_it_was(problem):
    arguments = problem(2, 27, 3, 4, lead=(2,))
    before = {name: x.detach().clone() for name, x in arguments.items()}
    y, state = operator(delta_softplus=True, direction="both")(arguments)
    given = torch.randn_like(y), torch.randn_like(state)  # laid out like the outputs, so that nothing need copy them
    kept = [x.clone() for x in given]
    first = torch.autograd.grad((y, state), list(arguments.values()), given, retain_graph=True)
    second = torch.autograd.grad((y, state), list(arguments.values()), given)
    for found, truth in zip((*given, *second, *arguments.values()), (*kept, *first, *before.values()), strict=True):
        torch.testing.assert_close(found, truth, rtol=0, atol=0)


def test_autocast_around_the_backward_pass_narrows_nothing(problem):
    arguments = problem(2, 27, 3, 4, dtype=torch.float32)
    tensors, fast = list(arguments.values()), operator(delta_softplus=True)
    truth = torch.autograd.grad(sum(x.sum() for x in fast(arguments)), tensors)
    with torch.autocast("cpu", torch.bfloat16):
        found = torch.autograd.grad(sum(x.sum() for x in fast(arguments)), tensors)
    torch.testing.assert_close(found, truth, rtol=0, atol=0)


def test_takes_any_memory_layout(problem, results):
    arguments = problem(2, 20, 3, 4)
    truth = results(operator(delta_softplus=True), arguments)
    strided = {
        name: x.detach().mT.contiguous().mT.requires_grad_() if x.ndim > 1 else x for name, x in arguments.items()
    }
    assert_close(results(operator(delta_softplus=True), strided), truth)


def test_keeps_a_state_per_chunk_and_no_more(problem):
    arguments = problem(1, 197, 16, 16, dtype=torch.float32)
    kept = {}

    def keep(x):
        kept[x.untyped_storage().data_ptr()] = x.untyped_storage().nbytes()
        return x

    with torch.autograd.graph.saved_tensors_hooks(keep, lambda x: x):
        outputs = operator(delta_softplus=True)(arguments)
    for x in arguments.values():
        del kept[x.untyped_storage().data_ptr()]
    assert sum(kept.values()) == 4 * 13 * 16 * 16  # 12 chunks of 16 tokens and one of 5
    del outputs
