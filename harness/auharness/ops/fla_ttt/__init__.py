"""The TTT operator of flash-linear-attention: another function than TTT-Linear, kept here as a peer to compare with.

It differs from `auharness.ops.ttt_linear` in three points, all seen in its source (fla-core 0.5.2):

1. The step size belongs to the query, not to the key: query i sees every step of its mini-batch scaled by its own rate,
   and the state moves by the rate of the last token alone. The two agree only where the rate is constant within a
   mini-batch and the token scale is 1.
2. The output is `z + LN(z)`, the read value plus its normalised self, not `q + LN(z)`.
3. A sequence that no multiple of the mini-batch makes ends with a wrong bias in the returned state (padded rows have a
   gradient once the LayerNorm has a bias); the output is right. So no state is returned here.

Its kernels want mini-batches that are a power of two >= 16 and heads of at most 128 channels.
"""

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Final

from torch import Tensor

from auharness.ops.backends import Backend, choose, needs, resolve
from auharness.ops.fla_ttt.reference import fla_ttt_reference

__all__ = ["BACKENDS", "FUNCTION", "fla_ttt", "fla_ttt_backend"]

FUNCTION: Final = "fla's TTT: one rate per query row, state moved by the last rate, output z + LN(z)"
"""What is computed, for the rows and captions that show it beside TTT-Linear."""

MAX_WIDTH, MIN_MINI_BATCH = 128, 16


def _refuses(query: Tensor, *, mini_batch: int, **facts: object) -> str | None:
    if not query.is_cuda:
        return f"q is on the {query.device.type}, expected cuda"
    if query.shape[-1] > MAX_WIDTH:
        return f"heads have {query.shape[-1]} channels, expected at most {MAX_WIDTH}"
    if mini_batch < MIN_MINI_BATCH or mini_batch & (mini_batch - 1):
        return f"mini_batch is {mini_batch}, expected a power of two from {MIN_MINI_BATCH} up"
    return None


def _library(function: str) -> Backend[Callable[..., Tensor]]:
    return Backend(
        f"auharness.ops.fla_ttt.kernels:{function}",
        missing=needs("fla", extra="gpu", device="cuda"),
        refuses=_refuses,
        reads_half=True,
    )


BACKENDS: Final[Mapping[str, Backend[Callable[..., Tensor]]]] = MappingProxyType(
    {"fla-fused": _library("fused"), "fla-chunk": _library("chunk"), "reference": Backend(fla_ttt_reference)}
)
"""Implementations by name, in order of preference."""


def fla_ttt_backend(q: Tensor, *, mini_batch: int = 16, backend: str | None = None) -> str:
    """Return the name of the backend that `fla_ttt` uses for this `q` and `mini_batch`.

    Raises:
        UsageError: `backend` is unknown or cannot serve this tensor.
    """
    return resolve("fla_ttt", BACKENDS, q, backend, mini_batch=mini_batch)


def fla_ttt(
    q: Tensor,
    k: Tensor,
    v: Tensor,
    eta: Tensor,
    w0: Tensor,
    b0: Tensor,
    ln_weight: Tensor,
    ln_bias: Tensor,
    *,
    mini_batch: int,
    eps: float = 1e-6,
    backend: str | None = None,
) -> Tensor:
    """Return what fla's `fused_chunk_ttt_linear` returns for unscaled queries; see the module for what it computes.

    Args:
        q: queries `[batch, head, token, d]`; `k` and `v` alike.
        k: keys.
        v: values.
        eta: step size as seen by each query row `[batch, head, token]`.
        w0: initial state `[head, d, d]`.
        b0: initial bias `[head, 1, d]`.
        ln_weight: weight of the inner LayerNorm `[head, d]`; `ln_bias` alike.
        ln_bias: bias of the inner LayerNorm.
        mini_batch: tokens per gradient step.
        eps: added to the variance.
        backend: `fla-fused`, `fla-chunk` or `reference`; unset takes the first that serves these tensors.

    Raises:
        UsageError: `backend` is unknown or cannot serve these tensors.
    """
    entry = choose("fla_ttt", BACKENDS, q, backend, mini_batch=mini_batch)
    return entry.run(q, k, v, eta, w0, b0, ln_weight, ln_bias, mini_batch=mini_batch, eps=eps)
