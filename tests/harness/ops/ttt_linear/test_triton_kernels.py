"""The Triton kernels, compiled for Hopper on any machine: which instructions they become and the memory they need."""

from typing import Any

import pytest
import torch
from torch._subclasses.fake_tensor import FakeTensorMode

from auharness.ops.ttt_linear import BACKENDS
from auharness.ops.ttt_linear.arguments import fitted

triton = pytest.importorskip("triton", reason="the `gpu` extra is not installed")


class Recorder:
    """Stands in for a kernel: keeps what it is launched with and does nothing."""

    def __init__(self, kernel: Any, launches: list[Any]) -> None:
        self.kernel, self.launches = kernel, launches

    def __getitem__(self, grid: tuple[int]) -> Any:
        return lambda *values, **options: self.launches.append((self.kernel, values, options))


TYPES = {torch.float32: "*fp32", torch.bfloat16: "*bf16", torch.float16: "*fp16"}


def compile_for_hopper(kernel, values, options):
    """Compile what a launch would, with what Triton knows of its arguments: ones, and multiples of 16."""
    from triton.backends.compiler import GPUTarget
    from triton.compiler import ASTSource

    given = dict(zip(kernel.arg_names, values, strict=False)) | options
    settings = {name: given.pop(name) for name in ("num_warps", "num_stages")}
    signature, constants, known = {}, {}, {}
    for i, parameter in enumerate(kernel.params):
        value, free = given[parameter.name], parameter.do_not_specialize
        multiple = isinstance(value, torch.Tensor) or (type(value) is int and value % 16 == 0 and not free)
        if parameter.is_constexpr or (type(value) is int and value == 1 and not free):
            signature[parameter.name], constants[parameter.name] = "constexpr", value
        elif isinstance(value, torch.Tensor):
            signature[parameter.name] = TYPES[value.dtype]
        else:
            signature[parameter.name] = "fp32" if isinstance(value, float) else "i32"
        if multiple and parameter.name not in constants:
            known[(i,)] = [["tt.divisibility", 16]]
    source = ASTSource(kernel, signature, constants, known)
    return triton.compile(source, target=GPUTarget("cuda", 90, 32), options=settings)


@pytest.fixture
def compiled(monkeypatch, tmp_path, problem):
    """Compile for Hopper, without one, what a call would launch; return the kernels by name."""
    from auharness.ops.ttt_linear import triton_gpu

    monkeypatch.setenv("TRITON_CACHE_DIR", str(tmp_path))
    launches: list[Any] = []
    for name in ("forward_kernel", "backward_kernel"):
        monkeypatch.setattr(triton_gpu, name, Recorder(getattr(triton_gpu, name), launches))

    def run(token, d, mini_batch, dtype, *, backward=True):
        both = problem(1, 2, token, d, mini_batch, lead=(2,))
        both = [x.detach().to(dtype if i < 3 else torch.float32).requires_grad_(backward) for i, x in enumerate(both)]
        tensors = fitted(*both[:4], both[4][None], *both[5:], directions=2, widen=False)
        options = {"mini_batch": mini_batch, "eps": 1e-6, "reverse": (False, True), "suffix": 1}
        out, w, b = triton_gpu.ttt_linear_triton(*tensors, **options)
        if backward:
            (out.sum() + w.sum() + b.sum()).backward()
        return {kernel.fn.__name__: compile_for_hopper(kernel, *launch) for kernel, *launch in launches}

    return run


def test_the_forward_pass_compiles_to_hoppers_tensor_cores_and_loads_ahead(compiled):
    ptx = compiled(197, 64, 14, torch.bfloat16, backward=False)["forward_kernel"].asm["ptx"]
    assert "wgmma.mma_async.sync.aligned.m64n64k16.f32.bf16.bf16" in ptx and "mma.sync" not in ptx
    assert "cp.async.cg.shared.global" in ptx


@pytest.mark.nightly
@pytest.mark.parametrize(
    ("dtype", "d", "mini_batch"),
    [
        *((torch.bfloat16, 64, mini_batch) for mini_batch in (1, 7, 14, 32, 64)),
        *((torch.bfloat16, d, mini_batch) for d, mini_batch in ((16, 14), (32, 14), (128, 14), (128, 64))),
        (torch.float16, 64, 14),
        *((torch.float32, d, mini_batch) for d, mini_batch in ((16, 14), (64, 16), (64, 64), (128, 16), (128, 32))),
    ],
    ids=str,
)
def test_every_kernel_compiles_for_hopper_and_fits(compiled, monkeypatch, dtype, d, mini_batch):
    room = 227

    class Device:
        shared_memory_per_block_optin = room * 1024

    monkeypatch.setattr(torch.cuda, "get_device_properties", lambda device: Device)
    with FakeTensorMode():
        query = torch.empty(1, 2, 150, d, device="cuda", dtype=dtype)
        refused = BACKENDS["triton"].refuses(query, mini_batch=mini_batch)
    found = compiled(150, d, mini_batch, dtype)
    assert sorted(found) == ["backward_kernel", "forward_kernel"]
    assert all(kernel.asm["cubin"] for kernel in found.values())
    assert (max(kernel.metadata.shared for kernel in found.values()) > room * 1024) == (refused is not None)
