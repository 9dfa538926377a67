"""The adapter to mamba-ssm: a stand-in for its kernel checks what it is handed, so layout and order need no GPU."""

import sys
from types import ModuleType

import pytest
import torch

from auharness.ops import backends
from auharness.ops.selective_scan import mamba_ssm, selective_scan, selective_scan_backend

INTERFACE = "mamba_ssm.ops.selective_scan_interface"
FACTS = {
    "state_size": 16,
    "zoh": False,
    "reverse": False,
    "initial_state": False,
    "state": False,
    "kind": torch.float32,
}


def scan_as_packaged(u, delta, A, B, C, D=None, z=None, delta_bias=None, delta_softplus=False, return_last_state=False):
    """The package's function by its own signature, with the checks of its extension: tokens last, types, shapes."""
    batch, dim, token = u.shape
    state = A.shape[1]
    for x in (delta, z):
        assert x is None or (x.shape == u.shape and x.dtype == u.dtype)
    for x in (B, C):
        assert x.shape == (batch, state, token) and x.dtype == u.dtype
    for x, shape in ((A, (dim, state)), (D, (dim,)), (delta_bias, (dim,))):
        assert x is None or (x.shape == shape and x.dtype == torch.float32)
    y, last = selective_scan(
        *(u.mT, delta.mT, A, B.mT, C.mT, D, None if z is None else z.mT, delta_bias),
        delta_softplus=delta_softplus,
        backend="reference",
        return_state=True,
    )
    return (y.mT, last) if return_last_state else y.mT


@pytest.fixture
def packaged(monkeypatch):
    """Put a package with the scan where the adapter looks for it."""
    for name in ("mamba_ssm", "mamba_ssm.ops", INTERFACE, "selective_scan_cuda"):
        monkeypatch.setitem(sys.modules, name, ModuleType(name))
    monkeypatch.setattr(sys.modules[INTERFACE], "selective_scan_fn", scan_as_packaged, raising=False)
    monkeypatch.setattr(mamba_ssm, "_installed", lambda: None)
    for name in ("fwd", "bwd"):
        monkeypatch.setattr(sys.modules["selective_scan_cuda"], name, lambda: None, raising=False)
    mamba_ssm.mamba_ssm_missing.cache_clear()
    yield
    mamba_ssm.mamba_ssm_missing.cache_clear()


@pytest.mark.parametrize("full", [True, False])
def test_hands_the_kernel_every_argument_as_it_wants_them(packaged, problem, results, full):
    arguments = problem(2, 19, 3, 4, full=full, dtype=torch.float32)
    arguments.pop("initial_state", None)

    def adapter(x):
        names = ("u", "delta", "A", "B", "C", "D", "z", "delta_bias", "initial_state")
        tensors = [x[name][None] if name in x else None for name in names]
        options = {"softplus": full, "zoh": False, "reverse": (False,), "suffix": 0}
        y, state = mamba_ssm.selective_scan_mamba_ssm(*tensors, **options)
        return y[0], state[0]

    def reference(x):
        return selective_scan(**x, delta_softplus=full, backend="reference", return_state=True)

    truth = results(reference, arguments, state=False)
    for name, value in results(adapter, arguments, state=False).items():
        torch.testing.assert_close(value, truth[name], msg=name)


def test_brings_what_has_tokens_to_one_type_and_the_weights_to_float32(packaged, problem):
    x = {name: value.detach()[None] for name, value in problem(2, 19, 3, 4, dtype=torch.float32).items()}
    half = {name: value.bfloat16() for name, value in x.items()}
    options = {"softplus": True, "zoh": False, "reverse": (False,), "suffix": 0}
    for delta, kind in ((half["delta"], torch.bfloat16), (x["delta"], torch.float32)):
        tensors = [half[name] for name in ("u", "A", "B", "C", "D", "z", "delta_bias")]
        y, state = mamba_ssm.selective_scan_mamba_ssm(tensors[0], delta, *tensors[1:], None, **options)
        assert y.dtype == kind
        assert state.dtype == torch.float32


def test_is_there_when_its_compiled_scan_is(packaged):
    assert mamba_ssm.mamba_ssm_missing() is None


def test_a_stub_of_the_compiled_scan_counts_as_none(packaged, monkeypatch):
    monkeypatch.setitem(sys.modules, "selective_scan_cuda", ModuleType("selective_scan_cuda"))
    assert "does not import: selective_scan_cuda is a stub; docs/gpu.md" in mamba_ssm.mamba_ssm_missing()


@pytest.mark.parametrize("absent", ["selective_scan_cuda", INTERFACE])
def test_a_package_that_does_not_import_counts_as_none(packaged, monkeypatch, absent):
    monkeypatch.setitem(sys.modules, absent, None)
    assert "the compiled scan of mamba-ssm does not import" in mamba_ssm.mamba_ssm_missing()


def test_a_machine_without_it_is_told_how_to_install_it(monkeypatch):
    monkeypatch.setattr(backends, "find_spec", lambda name: None)
    monkeypatch.setattr(mamba_ssm, "_installed", backends.needs("mamba_ssm", extra="mamba", device="cuda"))
    mamba_ssm.mamba_ssm_missing.cache_clear()
    assert mamba_ssm.mamba_ssm_missing() == 'mamba_ssm is not installed: pip install "auharness[mamba]"'
    mamba_ssm.mamba_ssm_missing.cache_clear()


class OnCuda:
    """What is asked of a tensor before it is chosen."""

    is_cuda, device, dtype = True, torch.device("cuda"), torch.float32


@pytest.mark.parametrize(
    ("facts", "reason"),
    [
        ({"zoh": True}, "Euler only"),
        ({"reverse": True}, "forward only"),
        ({"initial_state": True}, "zeros only"),
        ({"state": True}, "no gradient of the state"),
        ({"state_size": 257}, "at most 256, not 257"),
    ],
)
def test_refuses_what_its_kernel_cannot_do(facts, reason):
    assert mamba_ssm.mamba_ssm_refuses(OnCuda(), **FACTS) is None
    assert reason in mamba_ssm.mamba_ssm_refuses(OnCuda(), **FACTS | facts)


def test_returns_the_state_where_no_gradient_can_be_asked_for():
    with torch.no_grad():
        assert mamba_ssm.mamba_ssm_refuses(OnCuda(), **FACTS | {"state": True}) is None


def test_refuses_tensors_of_the_cpu_and_float64():
    assert "u is on cpu" in mamba_ssm.mamba_ssm_refuses(torch.zeros(1, 4, 8), **FACTS)
    assert "no float64" in mamba_ssm.mamba_ssm_refuses(OnCuda(), **FACTS | {"kind": torch.float64})


def test_leaves_the_cpu_to_others_where_it_is_installed(packaged):
    assert selective_scan_backend(torch.zeros(1, 4, 8)) != "mamba-ssm"
