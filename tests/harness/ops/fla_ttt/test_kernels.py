"""fla's own kernels in Triton's interpreter compute the function that our reference states."""

import os
import subprocess
import sys

import pytest

SCRIPT = """
import torch
from triton.runtime.autotuner import Autotuner

run = Autotuner.run


def first(self, *args, **options):
    self.configs = self.configs[:1]  # choosing among several would time them on a device
    return run(self, *args, **options)


Autotuner.run = first
from auharness.ops.fla_ttt import kernels
from auharness.ops.fla_ttt.reference import fla_ttt_reference

torch.manual_seed(0)
q, k, v = (torch.randn(1, 2, 40, 16, requires_grad=True) for _ in range(3))
rest = (torch.rand(1, 2, 40) / 16, torch.randn(2, 16, 16) / 10, torch.randn(2, 1, 16) / 5)
given = (q, k, v, *rest, 1 + torch.randn(2, 16) / 5, torch.randn(2, 16) / 5)
results = []
for function in (fla_ttt_reference, kernels.fused, kernels.chunk):
    out = function(*given, mini_batch=16, eps=1e-6)
    results.append((out, *torch.autograd.grad(out.square().sum(), (q, k, v))))
for result in results[1:]:
    for value, truth in zip(result, results[0], strict=True):
        assert (value - truth).norm() < 1e-5 * truth.norm()
"""


@pytest.mark.nightly
def test_the_kernels_compute_the_function_that_is_stated():
    pytest.importorskip("fla", reason="needs fla-core")
    environment = {**os.environ, "TRITON_INTERPRET": "1"}
    done = subprocess.run([sys.executable, "-c", SCRIPT], env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
