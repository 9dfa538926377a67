"""The Triton kernels, compiled for Hopper on any machine: what becomes of them, read from the machine's code."""

import re
import subprocess
from pathlib import Path
from typing import Any

import pytest
import torch

triton = pytest.importorskip("triton", reason="the `gpu` extra is not installed")

ORDER = ("u", "delta", "A", "B", "C", "D", "z", "delta_bias", "initial_state")


class Recorder:
    """Stand in for a kernel: keeps what it is launched with and does nothing."""

    def __init__(self, kernel: Any, launches: list[Any]) -> None:
        self.kernel, self.arg_names, self.launches = kernel, kernel.arg_names, launches

    def __getitem__(self, grid: tuple[int]) -> Any:
        return lambda *values, **options: self.launches.append((self.kernel, values, options))


@pytest.fixture
def compiled(monkeypatch, tmp_path, problem):
    """Compile for Hopper, without one, what a call would launch; return the assembly by kernel."""
    from triton.backends.compiler import GPUTarget
    from triton.compiler import ASTSource

    from auharness.ops.selective_scan import triton_gpu

    monkeypatch.setenv("TRITON_CACHE_DIR", str(tmp_path))
    launches: list[Any] = []
    names = ("scan_forward", "scan_backward", "chunk_states", "chunk_gradients", "carry_states")
    for name in names:
        monkeypatch.setattr(triton_gpu, name, Recorder(getattr(triton_gpu, name), launches))

    def build(kernel, values, options):
        constants = {p.name: v for p, v in zip(kernel.params, values, strict=True) if p.is_constexpr or v is None}
        types = {torch.float32: "*fp32", torch.bfloat16: "*bf16", torch.float16: "*fp16"}
        signature = {
            name: "constexpr" if name in constants else types[v.dtype] if isinstance(v, torch.Tensor) else "i32"
            for name, v in zip(kernel.arg_names, values, strict=True)
        }
        aligned = {(i,): [["tt.divisibility", 16]] for i, v in enumerate(values) if isinstance(v, torch.Tensor)}
        source = ASTSource(kernel, signature, constants, aligned)
        return triton.compile(source, target=GPUTarget("cuda", 90, 32), options=options).asm

    def run(token, state, dtype, *, zoh=False, full=True, chunks=1, backward=True):
        span = -(-token // chunks)
        monkeypatch.setattr(triton_gpu, "_chunks", lambda programs, tokens, device: (chunks, -(-span // 24) * 24))
        given = problem(1, token, 40, state, full=full, lead=(2,))
        arguments = [given[name].detach().to(dtype) if name in given else None for name in ORDER]
        arguments = [x if x is None else x.requires_grad_(backward) for x in arguments]
        options = {"softplus": full, "zoh": zoh, "reverse": (False, True), "suffix": 1}
        y, _ = triton_gpu.selective_scan_triton(*arguments, **options)
        if backward:
            y.sum().backward()
        found = {kernel.fn.__name__: build(kernel, values, options) for kernel, values, options in launches}
        launches.clear()
        return found

    return run


def instructions(asm, tmp_path: Path) -> set[str]:
    """Return the names of the machine's instructions in a kernel."""
    path = tmp_path / "kernel.cubin"
    path.write_bytes(asm["cubin"])
    tool = Path(triton.__file__).parent / "backends/nvidia/bin/nvdisasm"
    text = subprocess.run([tool, "-c", path], capture_output=True, text=True, check=True).stdout
    return set(re.findall(r"/\*[0-9a-f]{4,}\*/\s+(?:@!?U?P\w+\s+)?(\w+)", text))


def test_the_forward_pass_compiles_to_a_loop_without_exchange_between_threads(compiled, tmp_path):
    found = compiled(37, 16, torch.bfloat16, backward=False)
    assert list(found) == ["scan_forward"]
    used = instructions(found["scan_forward"], tmp_path)
    assert {"LDG", "STG", "FFMA", "MUFU"} <= used
    # spilled registers, shuffles, shared memory, barriers
    assert not used & {"LDL", "STL", "SHFL", "LDS", "STS", "BAR"}


@pytest.mark.nightly
@pytest.mark.parametrize("chunks", [1, 3])
@pytest.mark.parametrize("zoh", [False, True])
@pytest.mark.parametrize(
    ("dtype", "state"),
    [*((torch.bfloat16, state) for state in (1, 16, 64, 256)), (torch.float32, 16), (torch.float16, 16)],
    ids=str,
)
def test_every_kernel_compiles_for_hopper(compiled, dtype, state, zoh, chunks):
    for full in (True, False):
        found = compiled(60, state, dtype, zoh=zoh, full=full, chunks=chunks)
        assert len(found) == (2 if chunks == 1 else 5)
        assert all(asm["cubin"] for asm in found.values())
