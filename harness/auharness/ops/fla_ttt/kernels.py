"""Adapters to fla's kernels: their tokens come before the heads, their step size has a last axis of one."""

from collections.abc import Callable

from torch import Tensor

__all__ = ["chunk", "fused"]


def fused(
    q: Tensor, k: Tensor, v: Tensor, eta: Tensor, w0: Tensor, b0: Tensor, ln_weight: Tensor, ln_bias: Tensor,
    *, mini_batch: int, eps: float,
) -> Tensor:  # fmt: skip
    """Compute `fla_ttt` by one forward kernel and two backward kernels."""
    from fla.ops.ttt import fused_chunk_ttt_linear

    return _call(fused_chunk_ttt_linear, q, k, v, eta, w0, b0, ln_weight, ln_bias, mini_batch=mini_batch, eps=eps)


def chunk(
    q: Tensor, k: Tensor, v: Tensor, eta: Tensor, w0: Tensor, b0: Tensor, ln_weight: Tensor, ln_bias: Tensor,
    *, mini_batch: int, eps: float,
) -> Tensor:  # fmt: skip
    """Compute `fla_ttt` by one sequential kernel for the states and one parallel kernel for the outputs."""
    from fla.ops.ttt import chunk_ttt_linear

    return _call(chunk_ttt_linear, q, k, v, eta, w0, b0, ln_weight, ln_bias, mini_batch=mini_batch, eps=eps)


def _call(
    kernel: Callable[..., tuple[Tensor, ...]], q: Tensor, k: Tensor, v: Tensor, eta: Tensor, w0: Tensor, b0: Tensor,
    ln_weight: Tensor, ln_bias: Tensor, *, mini_batch: int, eps: float,
) -> Tensor:  # fmt: skip
    batch = q.shape[0]
    state, bias = (x.float().expand(batch, *x.shape[-3:]).contiguous() for x in (w0, b0))
    q, k, v, eta = (x.transpose(1, 2).contiguous() for x in (q, k, v, eta[..., None].to(q.dtype)))
    out, *_ = kernel(
        *(q, k, v, ln_weight, ln_bias, eta),
        scale=1.0,
        eps=eps,
        chunk_size=mini_batch,
        initial_state=state,
        initial_state_bias=bias,
    )
    return out.transpose(1, 2)
