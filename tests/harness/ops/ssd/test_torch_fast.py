"""The chunked form: what only it can get wrong."""

import pytest
import torch

from auharness.ops.ssd import ssd, torch_fast
from auharness.ops.ssd.reference import ssd_reference

CHUNK = 64


def operator(backend, **options):
    def call(arguments):
        return ssd(*arguments[:5], initial_state=arguments[5], backend=backend, return_state=True, **options)

    return call


def far_apart(value, truth):
    return (value - truth).norm() / truth.norm()


@pytest.mark.parametrize("token", [CHUNK - 1, CHUNK, CHUNK + 1, 2 * CHUNK, 3 * CHUNK + 1])
@pytest.mark.parametrize(("direction", "suffix"), [("forward", 0), ("both", 1)])
def test_equals_the_reference_around_the_ends_of_chunks(problem, results, token, direction, suffix):
    arguments = problem(2, token, 2, 3, 4, shared=token % 2 == 0, lead=(2,) if direction == "both" else ())
    options = {"direction": direction, "suffix": suffix}
    truth = results(operator("reference", **options), arguments)
    for name, value in results(operator("torch", **options), arguments).items():
        assert far_apart(value, truth[name]) <= 1e-10, name


def test_groups_of_heads_share_weights(results):
    generator = torch.Generator().manual_seed(1)
    sizes = [(1, 2, 70, 6, 3), (1, 2, 70, 6), (1, 6), (1, 2, 70, 3, 4), (1, 2, 70, 3, 4), (1, 2, 6, 3, 4)]
    arguments = [torch.rand(size, generator=generator, dtype=torch.float64) for size in sizes]
    arguments[2] *= -1
    for tensor in arguments:
        tensor.requires_grad_()
    truth, values = (
        results(lambda tensors, scan=scan: scan(*tensors, reverse=(False,), suffix=0), arguments)
        for scan in (ssd_reference, torch_fast.ssd_torch)
    )
    for name, value in values.items():
        assert far_apart(value, truth[name]) <= 1e-10, name


def test_passes_gradcheck(problem, monkeypatch):
    monkeypatch.setattr(torch_fast, "_CHUNK", 2)
    arguments = problem(1, 5, 2, 2, 2, shared=True, lead=(2,))
    call = operator("torch", direction="both", suffix=1)
    assert torch.autograd.gradcheck(lambda *tensors: call(tensors), arguments)


def test_a_strong_decay_neither_overflows_nor_loses_the_weak_ones(problem, results):
    # float32, exponents of a chunk summing to about -6400: a difference of two such sums would be off by 5e-4
    arguments = problem(1, 130, 2, 4, 5, dtype=torch.float32)
    with torch.no_grad():
        arguments[1][:, ::2] *= 100
        arguments[1][:, 1::2] *= 0.01
    exact = results(operator("reference"), [tensor.detach().double().requires_grad_() for tensor in arguments])
    for name, value in results(operator("torch"), arguments).items():
        assert value.isfinite().all(), name
        assert far_apart(value, exact[name]) <= 2e-6, name


def test_a_growing_state_is_that_of_the_reference(problem, results):
    arguments = problem(1, 70, 2, 3, 4)
    arguments[2] = (-0.05 * arguments[2]).detach().requires_grad_()
    truth = results(operator("reference"), arguments)
    for name, value in results(operator("torch"), arguments).items():
        assert far_apart(value, truth[name]) <= 1e-10, name


def test_uses_no_memory_it_has_not_written(problem, results):
    assert torch.empty(3).isnan().all()  # as the suite asks of torch
    arguments = problem(2, 70, 2, 3, 4, lead=(2,))
    for name, value in results(operator("torch", direction="both", suffix=1), arguments).items():
        assert value.isfinite().all(), name


def test_is_the_same_with_and_without_gradients(problem):
    arguments = problem(2, 70, 2, 3, 4)
    with torch.no_grad():
        without = operator("torch")(arguments)
    for value, truth in zip(without, operator("torch")(arguments), strict=True):
        torch.testing.assert_close(value, truth, rtol=0, atol=0)


def test_backward_may_run_twice_and_after_the_state_was_changed(problem):
    arguments = problem(1, 70, 2, 3, 4)
    y, state = operator("torch")(arguments)
    first = torch.autograd.grad(y.sum(), arguments, retain_graph=True)
    state.detach().zero_()
    for value, truth in zip(torch.autograd.grad(y.sum(), arguments), first, strict=True):
        torch.testing.assert_close(value, truth, rtol=0, atol=0)


def test_autocast_around_the_backward_pass_narrows_nothing(problem):
    arguments = problem(2, 70, 2, 3, 4, dtype=torch.float32)
    total = sum(tensor.square().sum() for tensor in operator("torch")(arguments))
    truth = torch.autograd.grad(total, arguments, retain_graph=True)
    with torch.autocast("cpu", torch.bfloat16):
        found = torch.autograd.grad(total, arguments)
    torch.testing.assert_close(found, truth, rtol=0, atol=0)


def test_takes_any_memory_layout(problem, results):
    arguments = problem(2, 70, 3, 4, 5)
    truth = results(operator("torch"), arguments)
    strided = [tensor.detach().mT.contiguous().mT if tensor.ndim > 1 else tensor.detach() for tensor in arguments]
    strided[0] = strided[0][:1].expand(2, -1, -1, -1)
    arguments[0] = strided[0].contiguous().requires_grad_()
    truth = results(operator("torch"), arguments)
    for name, value in results(operator("torch"), [tensor.requires_grad_() for tensor in strided]).items():
        torch.testing.assert_close(value, truth[name])


def test_saves_little_more_than_its_arguments(problem):
    seen = {}

    def keep(tensor):
        seen[tensor.untyped_storage().data_ptr()] = tensor.untyped_storage().nbytes()
        return tensor

    arguments = problem(1, 256, 2, 32, 16, dtype=torch.float32)
    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        y, _ = operator("torch")(arguments)
    given = sum(tensor.untyped_storage().nbytes() for tensor in arguments)
    assert sum(seen.values()) < 1.5 * given
    del y
