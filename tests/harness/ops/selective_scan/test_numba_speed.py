"""The compiled path against the autograd reference: one thread, CPU time, ratio inside one process."""

import time

import pytest
import torch

pytest.importorskip("numba")

from auharness.ops.selective_scan import selective_scan

TOKEN, DIM, STATE = 197, 768, 16

# training: of one sequence, of four; measured on a shared AVX-512 core: 36 to 42, 150 to 175, and 750
FORWARD, TRAINING_ONE, TRAINING_FOUR = 12, 100, 150


@pytest.fixture(autouse=True)
def as_in_use(monkeypatch):
    """One thread; fresh memory is not filled, as it is in all other tests."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    monkeypatch.setattr(torch.utils.deterministic, "fill_uninitialized_memory", False)
    yield
    torch.set_num_threads(threads)


def job(batch, *, training):
    """Return a call by backend of the scan with the arguments that every scan has."""
    shapes = {"u": (batch, TOKEN, DIM), "B": (batch, TOKEN, STATE), "C": (batch, TOKEN, STATE)}
    tensors = {name: torch.randn(shape) for name, shape in shapes.items()}
    tensors |= {"delta": 0.1 * torch.rand(batch, TOKEN, DIM), "A": -16 * torch.rand(DIM, STATE)}
    arguments = {name: x.requires_grad_(training) for name, x in tensors.items()}
    gradient = torch.ones(batch, TOKEN, DIM)

    def call(backend):
        y = selective_scan(**arguments, backend=backend)
        if training:
            torch.autograd.grad(y, list(arguments.values()), gradient)

    return call


def ratio_of_minima(call, *, reference: int, numba: int) -> float:
    """Time both in turn, so many calls of each; the least time is the one that other work disturbed least."""
    call("numba")  # reads or compiles the kernels
    times: dict[str, list[float]] = {"reference": [], "numba": []}
    for backend in ["reference", *["numba"] * (numba // reference)] * reference:
        start = time.process_time()
        call(backend)
        times[backend].append(time.process_time() - start)
    return min(times["reference"]) / min(times["numba"])


def test_the_forward_pass_is_faster():
    assert ratio_of_minima(job(4, training=False), reference=4, numba=96) >= FORWARD


def test_training_on_one_sequence_is_faster():
    assert ratio_of_minima(job(1, training=True), reference=3, numba=120) >= TRAINING_ONE


@pytest.mark.nightly
def test_training_on_a_batch_is_faster():
    assert ratio_of_minima(job(4, training=True), reference=1, numba=30) >= TRAINING_FOUR
