"""The machine that measures: its name, its versions, and how fast it is at best."""

import platform
import re
from importlib import import_module
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import torch

from auharness.efficiency.timing import measure_time
from auharness.errors import DataError
from auharness.ops.backends import needs
from auharness.scaling.records import Machine, Peaks

__all__ = ["check_device", "describe", "measure_peaks"]

PACKAGES = ("auharness", "torch", "triton", "numba", "fla-core", "mamba-ssm", "flash-attn")
_EXP_PER_CLOCK = 16
"""Exponentials per clock and multiprocessor, CUDA C Programming Guide, table of arithmetic throughput."""
_MULTIPLY_ADDS_PER_EXP = 8
"""On a CPU, which has no instruction for it: a polynomial of degree 6 for float32, two to reduce the argument."""


def check_device(device: torch.device, *, command: str) -> None:
    """Refuse a device that is not there.

    Raises:
        DataError: it is CUDA, and there is none.
    """
    if device.type == "cuda" and not torch.cuda.is_available():
        raise DataError(f"{command}: --device cuda, but torch sees no CUDA device; run 'auharness doctor', or use cpu")


def describe(device: torch.device) -> Machine:
    """Return the name and the versions of this machine."""
    versions = {}
    for package in PACKAGES:
        try:
            versions[package] = version(package)
        except PackageNotFoundError:
            continue
    if torch.version.cuda and device.type == "cuda":
        versions["cuda"] = torch.version.cuda
    return Machine(
        kind=device.type,
        device=torch.cuda.get_device_name(device) if device.type == "cuda" else _processor(),
        driver=_driver() if device.type == "cuda" else "",
        threads=torch.get_num_threads(),
        versions=versions,
    )


def measure_peaks(device: torch.device, dtype: torch.dtype, *, seconds: float = 0.1) -> Peaks:
    """Measure the rates; that of exponentials follows from the clock on CUDA and from multiply-adds on a CPU."""
    cuda = device.type == "cuda"
    source = torch.zeros(1 << (28 if cuda else 24), device=device)
    target = torch.empty_like(source)
    copy = measure_time(lambda: target.copy_(source), device=device, seconds=seconds).best_ms
    flops = _products(8192 if cuda else 768, device, dtype, seconds)
    if not cuda and needs("numba", extra="cpu")() is None:
        # torch's products can be far from what the processor does
        flops = max(flops, 2 * import_module("auharness.efficiency.cpu_peak").multiply_adds_per_second())
    exps = _exps_on_cuda(device) if cuda else flops / 2 / _MULTIPLY_ADDS_PER_EXP
    return Peaks(flops=flops, bytes=2e3 * source.nbytes / copy, exps=exps)


def _products(side: int, device: torch.device, dtype: torch.dtype, seconds: float) -> float:
    a, b = (torch.randn(side, side, device=device, dtype=dtype) for _ in range(2))
    return 2e3 * side**3 / measure_time(lambda: a @ b, device=device, seconds=seconds).best_ms


def _exps_on_cuda(device: torch.device) -> float:
    properties = torch.cuda.get_device_properties(device)
    clock_khz = getattr(properties, "clock_rate", 0) or 1_755_000  # torch before 2.6 does not tell; H100's and H200's
    return float(properties.multi_processor_count * _EXP_PER_CLOCK * clock_khz * 1e3)


def _driver() -> str:
    """Return the version of the kernel driver as Linux shows it."""
    try:
        text = Path("/proc/driver/nvidia/version").read_text(encoding="utf-8")
    except OSError:
        return ""
    found = re.search(r"\b\d{3}\.\d+(\.\d+)?\b", text)
    return found.group() if found else ""


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        lines = []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or platform.machine()
