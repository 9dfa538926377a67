import importlib
import sys
from types import SimpleNamespace

import pytest
import torch
from torch import nn
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.nn.functional import scaled_dot_product_attention

from auharness.errors import UsageError
from auharness.ops.attention import attention, attention_backend
from auharness.ops.backends import recorded


def heads(*shape, seed):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64, requires_grad=True)


@pytest.mark.parametrize("causal", [False, True])
@pytest.mark.parametrize(("queries", "keys"), [(1, 1), (13, 13), (5, 9), (9, 5)])
def test_the_kernel_equals_the_formula_with_its_gradients(queries, keys, causal):
    q, k, v = heads(2, 3, queries, 8, seed=1), heads(2, 3, keys, 8, seed=2), heads(2, 3, keys, 8, seed=3)
    values, gradients = [], []
    for backend in ("reference", None, "sdpa-math"):
        out = attention(q, k, v, causal=causal, backend=backend)
        values.append(out)
        gradients.append(torch.autograd.grad(out.square().sum(), (q, k, v)))
    for value, gradient in zip(values[1:], gradients[1:], strict=True):
        torch.testing.assert_close(value, values[0])
        torch.testing.assert_close(gradient, gradients[0])


@pytest.mark.parametrize("backend", ["reference", "sdpa-flash"])
def test_one_head_equals_torch_multihead_attention(backend):
    x = heads(2, 7, 8, seed=4).detach()
    outside = nn.MultiheadAttention(8, 1, batch_first=True, bias=False, dtype=torch.float64)
    q, k, v = ((x @ part.T)[:, None] for part in outside.in_proj_weight.detach().chunk(3))
    out = attention(q, k, v, backend=backend)[:, 0] @ outside.out_proj.weight.T
    torch.testing.assert_close(out, outside(x, x, x)[0])


def test_the_kernel_that_torch_chooses_is_named():
    q = torch.zeros(1, 1, 2, 4)
    assert attention_backend(q) == "sdpa-flash"
    with sdpa_kernel(SDPBackend.MATH), recorded() as used:
        assert attention_backend(q) == "sdpa-math"
        attention(q, q, q)
    assert used == {"attention": "sdpa-math"}


def test_an_unknown_backend_is_named():
    q = torch.zeros(1, 1, 2, 4)
    with pytest.raises(UsageError, match="attention has no backend 'sdpa-mat'; did you mean 'sdpa-math'"):
        attention(q, q, q, backend="sdpa-mat")


def test_a_kernel_that_does_not_serve_these_tensors_is_one_line():
    q = torch.zeros(1, 1, 2, 4)
    with pytest.raises(UsageError, match=r"'sdpa-cudnn' cannot be used here: (no CUDA|q is on the cpu)"):
        attention(q, q, q, backend="sdpa-cudnn")
    with pytest.raises(
        UsageError, match="attention backend 'flash-attn' cannot be used here: flash_attn is not installed"
    ):
        attention(q, q, q, backend="flash-attn")
    q = torch.zeros(1, 1, 2, 4, dtype=torch.int32)
    with pytest.raises(UsageError, match=r"'sdpa-flash' does not support torch.int32 tensors of \[1, 1, 2, 4\] on cpu"):
        attention(q, q, q, backend="sdpa-flash")


@pytest.mark.parametrize("backend", [None, "reference", "sdpa-math"])
@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("q", torch.zeros(3, 5, 8), r"attention: q is \[3, 5, 8\], expected batch, head, token, d"),
        ("k", torch.zeros(3, 7, 8), r"attention: k is \[3, 7, 8\], expected \[2, 3, token, 8\] as q has"),
        ("k", torch.zeros(1, 3, 7, 8), r"attention: k is \[1, 3, 7, 8\], expected \[2, 3, token, 8\] as q has"),
        ("k", torch.zeros(2, 3, 7, 4), r"attention: k is \[2, 3, 7, 4\], expected \[2, 3, token, 8\] as q has"),
        ("v", torch.zeros(2, 3, 6, 8), r"attention: v is \[2, 3, 6, 8\], expected \[2, 3, 7, 8\] as k has"),
        ("k", torch.zeros(2, 3, 7, 8).double(), "attention: k is torch.float64, expected torch.float32 as q has"),
        ("v", torch.zeros(2, 3, 7, 8).half(), "attention: v is torch.float16, expected torch.float32 as q has"),
    ],
)
def test_a_shape_or_type_that_does_not_fit_is_named(name, value, message, backend):
    tensors = {"q": torch.zeros(2, 3, 5, 8), "k": torch.zeros(2, 3, 7, 8), "v": torch.zeros(2, 3, 7, 8)} | {name: value}
    for function in (attention, attention_backend):
        with pytest.raises(ValueError, match=f"^{message}$"):
            function(**tensors, backend=backend)


def test_autocast_brings_the_types_together():
    q = torch.randn(2, 3, 5, 8)
    with torch.autocast("cpu", torch.bfloat16):
        assert attention(q, q.bfloat16(), q).dtype == torch.bfloat16


@pytest.mark.parametrize(("queries", "keys"), [(6, 6), (4, 7), (7, 4)])
@pytest.mark.parametrize("causal", [False, True])
def test_the_package_flash_attn_is_called_in_its_own_layout(queries, keys, causal, monkeypatch):
    def flash_attn_func(q, k, v, causal):
        """As the package says: token before head, the causal mask aligned at the last query and key."""
        q, k, v = (x.transpose(1, 2) for x in (q, k, v))
        seen = torch.ones(q.shape[2], k.shape[2], dtype=torch.bool).tril(k.shape[2] - q.shape[2]) if causal else None
        return scaled_dot_product_attention(q, k, v, attn_mask=seen).transpose(1, 2)

    monkeypatch.setitem(sys.modules, "flash_attn", SimpleNamespace(flash_attn_func=flash_attn_func))
    adapter = importlib.import_module("auharness.ops.attention.flash_attn")
    q, k, v = heads(2, 3, queries, 8, seed=1), heads(2, 3, keys, 8, seed=2), heads(2, 3, keys, 8, seed=3)
    truth = attention(q, k, v, causal=causal, backend="reference")
    torch.testing.assert_close(adapter.flash_attn(q, k, v, causal=causal), truth)
