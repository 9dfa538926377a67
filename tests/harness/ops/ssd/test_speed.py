"""The chunked form against the autograd reference: one thread, CPU time, ratio inside one process."""

import time

import torch

from auharness.ops.ssd import ssd

# the bars; measured on an idle AVX-512 core: 7 and 9; on a core whose cache others use, 4 and 5
FORWARD, TRAINING = 2.5, 3


def cpu_seconds(call) -> float:
    start = time.process_time()
    call()
    return time.process_time() - start


def ratio_of_minima(call, *, rounds: int) -> float:
    """Time both backends in turn; the least time of each is the one that other work disturbed least."""
    times = {"reference": [], "torch": []}
    for _ in range(rounds):
        for backend, repeats in (("reference", 1), ("torch", 3)):
            times[backend].extend(cpu_seconds(lambda backend=backend: call(backend)) for _ in range(repeats))
    return min(times["reference"]) / min(times["torch"])


def test_the_chunked_form_is_faster_at_the_size_of_vit_s(problem):
    # inner width 768 as 12 heads of 64, state 64
    arguments = problem(2, 197, 12, 64, 64, shared=True, dtype=torch.float32)[:5]
    gradient = torch.ones(2, 197, 12, 64)

    def forward(backend):
        with torch.no_grad():
            ssd(*arguments, backend=backend)

    def training(backend):
        torch.autograd.grad(ssd(*arguments, backend=backend), arguments, gradient)

    assert ratio_of_minima(forward, rounds=6) >= FORWARD
    assert ratio_of_minima(training, rounds=4) >= TRAINING
