"""The adapter to mamba-ssm: what it passes to the kernels, when it refuses, how it finds them."""

import sys
from functools import partial
from types import SimpleNamespace

import pytest
import torch

from auharness.errors import UsageError
from auharness.ops import ssd as package
from auharness.ops.ssd import mamba_ssm, ssd
from auharness.ops.ssd.reference import ssd_reference


def of_their_signature(x, dt, A, B, C, chunk_size, *, initial_states=None, return_final_states=False):
    """Stand in for `mamba_chunk_scan_combined`: their arguments and shapes, the numbers of the reference."""
    batch, token, heads, width = x.shape
    assert dt.shape == (batch, token, heads) and A.shape == (heads,)
    assert B.shape == C.shape and B.shape[:2] == (batch, token) and heads % B.shape[2] == 0
    assert x.dtype == B.dtype == C.dtype and dt.dtype == A.dtype == torch.float32
    assert initial_states is None or initial_states.shape == (batch, heads, width, B.shape[3])
    assert chunk_size & (chunk_size - 1) == 0 and return_final_states
    first = None if initial_states is None else initial_states[None]
    tensors = (tensor.float()[None] for tensor in (x, dt, A, B, C))
    y, state = ssd_reference(*tensors, first, reverse=(False,), suffix=0)
    return y[0].to(x.dtype), state[0]


@pytest.fixture
def kernels(monkeypatch):
    monkeypatch.setattr(mamba_ssm, "_kernels", lambda: of_their_signature)


@pytest.mark.parametrize("first", [True, False])
@pytest.mark.parametrize("groups", [1, 2, 4])
@pytest.mark.parametrize("reverse", [(False,), (True,), (False, True)])
def test_maps_directions_states_and_groups(kernels, results, reverse, groups, first):
    directions = len(reverse)
    generator = torch.Generator().manual_seed(1)
    sizes = [(2, 9, 4, 3), (2, 9, 4), (4,), (2, 9, groups, 5), (2, 9, groups, 5), (2, 4, 3, 5)]
    arguments = [torch.rand(directions, *size, generator=generator) for size in sizes][: 6 if first else 5]
    arguments[2] *= -1
    for tensor in arguments:
        tensor.requires_grad_()
    truth, values = (
        results(
            lambda tensors, scan=scan: scan(*tensors[:5], *(tensors[5:] or [None]), reverse=reverse, suffix=2),
            arguments,
        )
        for scan in (ssd_reference, mamba_ssm.ssd_mamba_ssm)
    )
    for name, value in values.items():
        torch.testing.assert_close(value, truth[name], msg=name)


def test_keeps_half_precision_for_the_kernels_and_step_sizes_in_float32(kernels, problem):
    x, dt, A, B, C, first = (tensor.detach()[None] for tensor in problem(1, 9, 2, 4, 5, shared=True))
    x, B, C = (tensor.bfloat16() for tensor in (x, B[..., None, :], C[..., None, :]))
    y, state = mamba_ssm.ssd_mamba_ssm(x, dt, A, B, C, first, reverse=(True,), suffix=0)
    assert y.dtype == torch.bfloat16 and state.dtype == torch.float32


def test_is_chosen_where_its_kernels_can_serve(monkeypatch):
    refuses = partial(package.BACKENDS["mamba-ssm"].refuses, kind=torch.float32)
    x = SimpleNamespace(device=torch.device("cuda"), dtype=torch.bfloat16)
    assert refuses(x) is None
    assert refuses(x, kind=torch.float64) == "its kernels have no float64"
    x.dtype = torch.float32
    assert "TF32" in refuses(x)
    before = torch.get_float32_matmul_precision()
    torch.set_float32_matmul_precision("high")
    try:
        assert refuses(x) is None
    finally:
        torch.set_float32_matmul_precision(before)
    x.device = torch.device("cpu")
    assert refuses(x) == "its kernels run on CUDA, the tensors are on cpu"


def test_says_why_it_cannot_be_used_on_a_cpu(problem):
    with pytest.raises(UsageError, match="ssd backend 'mamba-ssm' cannot be used here: "):
        ssd(*problem(1, 9, 2, 3, 4)[:5], backend="mamba-ssm")


@pytest.fixture
def installed(tmp_path, monkeypatch):
    """Install a package of their name whose `__init__` reads as given; the kernels lie where theirs do."""

    def install(init):
        folder = tmp_path / "mamba_ssm" / "ops" / "triton"
        folder.mkdir(parents=True)
        for path in (folder, folder.parent):
            (path / "__init__.py").touch()
        (folder.parents[1] / "__init__.py").write_text(init)
        (folder / "ssd_combined.py").write_text("def mamba_chunk_scan_combined(): return 'kernels'\n")
        monkeypatch.syspath_prepend(tmp_path)
        # whatever is imported below is forgotten with the test
        monkeypatch.setattr(sys, "modules", {k: v for k, v in sys.modules.items() if not k.startswith("mamba_ssm")})

    mamba_ssm._kernels.cache_clear()
    yield install
    mamba_ssm._kernels.cache_clear()


@pytest.mark.parametrize("init", ["", "import selective_scan_cuda_that_was_never_built"])
def test_finds_the_kernels_with_and_without_the_compiled_scan(installed, init):
    installed(init)
    assert mamba_ssm._kernels()() == "kernels"
    # a package that cannot be imported must not look as if it had been
    assert ("mamba_ssm" in sys.modules) == (init == "")


def test_a_package_that_is_not_there_is_named(monkeypatch):
    mamba_ssm._kernels.cache_clear()
    monkeypatch.setattr(mamba_ssm, "find_spec", lambda name: None)
    monkeypatch.setitem(sys.modules, "mamba_ssm", None)
    with pytest.raises(ImportError, match="mamba_ssm is not installed"):
        mamba_ssm._kernels()


@pytest.mark.parametrize("kernels", ["mamba_chunk_scan_combined = abs", "raise RuntimeError('another\\ntriton')"])
def test_is_there_when_its_kernels_import_whether_or_not_the_package_does(installed, monkeypatch, tmp_path, kernels):
    installed("import selective_scan_cuda_that_was_never_built")
    (tmp_path / "mamba_ssm" / "ops" / "triton" / "ssd_combined.py").write_text(kernels)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    # past their caches
    for name in ("_installed", "mamba_ssm_missing"):
        monkeypatch.setattr(mamba_ssm, name, getattr(mamba_ssm, name).__wrapped__)
    broken = "the Triton part of mamba-ssm does not import: another triton"
    assert mamba_ssm.mamba_ssm_missing() == (broken if "raise" in kernels else None)


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float32, 5e-3), (torch.bfloat16, 3e-2)])
def test_the_kernels_equal_the_reference_on_a_gpu(problem, results, dtype, tolerance):
    pytest.importorskip("triton")
    if package.BACKENDS["mamba-ssm"].missing():
        pytest.skip("needs mamba-ssm")
    arguments = problem(2, 197, 4, 64, 64, shared=True, lead=(2,), dtype=torch.float32)
    arguments = [tensor.detach().cuda().to(dtype).requires_grad_() for tensor in arguments]

    def on(backend):
        def call(tensors):
            y, state = ssd(
                *tensors[:5],
                initial_state=tensors[5],
                direction="both",
                suffix=1,
                backend=backend,
                return_state=True,
            )
            return y.double().cpu(), state.double().cpu()

        return call

    before = torch.get_float32_matmul_precision()
    truth = results(on("torch"), arguments)
    torch.set_float32_matmul_precision("high")
    try:
        values = results(on("mamba-ssm"), arguments)
    finally:
        torch.set_float32_matmul_precision(before)
    for name, value in values.items():
        assert (value - truth[name]).norm() <= tolerance * truth[name].norm(), name
