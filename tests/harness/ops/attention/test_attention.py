import pytest
import torch
from torch import nn

from auharness.errors import UsageError
from auharness.ops.attention import attention, attention_backend


def heads(*shape, seed):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64, requires_grad=True)


@pytest.mark.parametrize("causal", [False, True])
@pytest.mark.parametrize(("queries", "keys"), [(1, 1), (13, 13), (5, 9), (9, 5)])
def test_the_kernel_equals_the_formula_with_its_gradients(queries, keys, causal):
    q, k, v = heads(2, 3, queries, 8, seed=1), heads(2, 3, keys, 8, seed=2), heads(2, 3, keys, 8, seed=3)
    values, gradients = [], []
    for backend in ("reference", "sdpa"):
        out = attention(q, k, v, causal=causal, backend=backend)
        values.append(out)
        gradients.append(torch.autograd.grad(out.square().sum(), (q, k, v)))
    torch.testing.assert_close(*values)
    torch.testing.assert_close(*gradients)


@pytest.mark.parametrize("backend", ["reference", "sdpa"])
def test_one_head_equals_torch_multihead_attention(backend):
    x = heads(2, 7, 8, seed=4).detach()
    outside = nn.MultiheadAttention(8, 1, batch_first=True, bias=False, dtype=torch.float64)
    q, k, v = ((x @ part.T)[:, None] for part in outside.in_proj_weight.detach().chunk(3))
    out = attention(q, k, v, backend=backend)[:, 0] @ outside.out_proj.weight.T
    torch.testing.assert_close(out, outside(x, x, x)[0])


def test_the_kernel_is_the_default():
    assert attention_backend(torch.zeros(1, 1, 2, 4)) == "sdpa"


def test_an_unknown_backend_is_named():
    q = torch.zeros(1, 1, 2, 4)
    with pytest.raises(UsageError, match="attention has no backend 'sdp'; did you mean 'sdpa'"):
        attention(q, q, q, backend="sdp")
