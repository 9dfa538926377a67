"""fla's function is told apart from TTT-Linear, and its kernels are called as they want to be."""

import importlib
import sys
from types import SimpleNamespace

import pytest
import torch
from torch.nn.functional import layer_norm

from auharness.errors import UsageError
from auharness.ops.fla_ttt import FUNCTION, fla_ttt, fla_ttt_backend
from auharness.ops.ttt_linear import ttt_linear

HEADS, WIDTH = 2, 8


@pytest.fixture
def arguments():
    def make(token: int, *, constant: bool):
        q, k, v = (torch.randn(2, HEADS, token, WIDTH, dtype=torch.float64) for _ in range(3))
        eta = torch.rand(2, HEADS, token, dtype=torch.float64) / WIDTH
        if constant:
            eta = eta[..., :1].expand_as(eta)
        w0, b0 = torch.randn(HEADS, WIDTH, WIDTH).double() / 5, torch.randn(HEADS, 1, WIDTH).double()
        return q, k, v, eta, w0, b0, 1 + torch.randn(HEADS, WIDTH).double() / 5, torch.randn(HEADS, WIDTH).double() / 5

    return make


def read_of(arguments, mini_batch):
    """The normalised value that TTT-Linear reads: its output without the query and the affine part."""
    q, *_, ln_weight, ln_bias = arguments
    out = ttt_linear(*arguments[:4], torch.ones(mini_batch).double(), *arguments[4:], mini_batch=mini_batch)
    return (out - q - ln_bias[:, None]) / ln_weight[:, None]


def test_with_a_constant_rate_it_reads_the_same_model_as_ttt_linear(arguments):
    given = arguments(37, constant=True)
    out, normal = fla_ttt(*given, mini_batch=16), read_of(given, 16)
    weight, bias = given[-2][:, None], given[-1][:, None]
    # out = read + weight * LN(read) + bias, so what is left over must be a read value with that normalised self
    read = out - weight * normal - bias
    torch.testing.assert_close(layer_norm(read, (WIDTH,), eps=1e-6), normal)


def test_with_a_rate_per_token_it_is_another_function(arguments):
    given = arguments(37, constant=False)
    out, normal = fla_ttt(*given, mini_batch=16), read_of(given, 16)
    read = out - given[-2][:, None] * normal - given[-1][:, None]
    assert (layer_norm(read, (WIDTH,), eps=1e-6) - normal).abs().max() > 1e-2
    assert "one rate per query row" in FUNCTION


@pytest.mark.parametrize("backend", ["fla-fused", "fla-chunk"])
def test_the_library_is_missing_without_a_gpu_and_says_so(backend):
    if torch.cuda.is_available():
        pytest.skip("asks for a machine without a GPU")
    with pytest.raises(UsageError, match=r"cannot be used here: (no CUDA device|fla is not installed)"):
        fla_ttt_backend(torch.zeros(1, 1, 4, 8), backend=backend)
    assert fla_ttt_backend(torch.zeros(1, 1, 4, 8)) == "reference"


@pytest.mark.parametrize("function", ["fused", "chunk"])
def test_its_kernels_get_tokens_before_heads_and_unscaled_queries(function, arguments, monkeypatch):
    def kernel(q, k, v, w, b, eta, *, scale, eps, chunk_size, initial_state, initial_state_bias):
        assert scale == 1.0 and initial_state.shape == (2, HEADS, WIDTH, WIDTH) and eta.shape == (2, 37, HEADS, 1)
        q, k, v, eta = (x.transpose(1, 2) for x in (q, k, v, eta))
        state = initial_state[0].double(), initial_state_bias[0].double()
        out = fla_ttt(q, k, v, eta[..., 0], *state, w, b, mini_batch=chunk_size, eps=eps, backend="reference")
        return out.transpose(1, 2), None, None

    library = SimpleNamespace(fused_chunk_ttt_linear=kernel, chunk_ttt_linear=kernel)
    for name, module in (("fla", SimpleNamespace()), ("fla.ops", SimpleNamespace()), ("fla.ops.ttt", library)):
        monkeypatch.setitem(sys.modules, name, module)
    monkeypatch.delitem(sys.modules, "auharness.ops.fla_ttt.kernels", raising=False)
    adapter = importlib.import_module("auharness.ops.fla_ttt.kernels")
    given = arguments(37, constant=False)
    out = getattr(adapter, function)(*given, mini_batch=16, eps=1e-6)
    monkeypatch.delitem(sys.modules, "auharness.ops.fla_ttt.kernels")
    # the state travels in float32
    torch.testing.assert_close(out, fla_ttt(*given, mini_batch=16), rtol=1e-5, atol=1e-5)


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
@pytest.mark.parametrize("backend", ["fla-fused", "fla-chunk"])
def test_the_kernels_compute_the_function_that_is_stated(backend):
    torch.manual_seed(0)
    q, k, v = (torch.randn(2, 3, 64, 64, device="cuda") for _ in range(3))
    eta = torch.rand(2, 3, 64, device="cuda") / 64
    state = 0.02 * torch.randn(3, 64, 64, device="cuda"), torch.zeros(3, 1, 64, device="cuda")
    norm = 1 + torch.randn(3, 64, device="cuda") / 5, torch.randn(3, 64, device="cuda") / 5
    given = (q, k, v, eta, *state, *norm)
    truth = fla_ttt(*given, mini_batch=16, backend="reference")
    torch.testing.assert_close(fla_ttt(*given, mini_batch=16, backend=backend), truth, rtol=1e-2, atol=1e-2)
