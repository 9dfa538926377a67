"""The fast path against the autograd reference: one thread, CPU time, ratio inside one process."""

import time

import pytest
import torch

from auharness.ops.selective_scan import selective_scan

# bars for 197 tokens, 768 channels and a state of 16; measured on a shared AVX-512 core: 8.5, 37 and 260
FORWARD, TRAINING_ONE, TRAINING_FOUR = 7, 20, 50  # training: of one sequence, of four


@pytest.fixture(autouse=True)
def as_in_use(monkeypatch):
    """One thread; fresh memory is not filled, as it is in all other tests."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    monkeypatch.setattr(torch.utils.deterministic, "fill_uninitialized_memory", False)
    yield
    torch.set_num_threads(threads)


@pytest.fixture
def plain():
    """Make the arguments that every scan has, at the size of a ViT-S as wide as Mamba makes it."""

    def make(batch):
        shapes = {"u": (batch, 197, 768), "B": (batch, 197, 16), "C": (batch, 197, 16)}
        tensors = {name: torch.randn(shape) for name, shape in shapes.items()}
        tensors |= {"delta": 0.1 * torch.rand(batch, 197, 768), "A": -16 * torch.rand(768, 16)}
        return {name: x.requires_grad_() for name, x in tensors.items()}

    return make


def ratio_of_minima(call, *, rounds: dict[str, int]) -> float:
    """Time both backends, their calls spread evenly; the least time of each is what other work disturbed least."""
    times: dict[str, list[float]] = {backend: [] for backend in rounds}
    for _, backend in sorted((i / count, backend) for backend, count in rounds.items() for i in range(count)):
        start = time.process_time()
        call(backend)
        times[backend].append(time.process_time() - start)
    return min(times["reference"]) / min(times["torch"])


def training(arguments):
    gradient = torch.ones_like(arguments["u"])

    def call(backend):
        torch.autograd.grad(selective_scan(**arguments, backend=backend), list(arguments.values()), gradient)

    return call


def test_the_forward_pass_is_faster(plain):
    arguments = plain(4)

    def forward(backend):
        with torch.no_grad():
            selective_scan(**arguments, backend=backend)

    assert ratio_of_minima(forward, rounds={"reference": 48, "torch": 720}) >= FORWARD


def test_training_is_faster(plain):
    assert ratio_of_minima(training(plain(1)), rounds={"reference": 2, "torch": 12}) >= TRAINING_ONE


@pytest.mark.nightly
def test_training_on_a_batch_is_faster(plain):
    assert ratio_of_minima(training(plain(4)), rounds={"reference": 1, "torch": 5}) >= TRAINING_FOUR
