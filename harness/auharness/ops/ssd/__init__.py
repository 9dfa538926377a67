"""SSD: the recurrence of Mamba-2, a state space with one rate of decay per head and token (arXiv:2405.21060).

`reference.py` defines it, `torch_fast.py` computes the same in chunks with a hand-written backward, `mamba_ssm.py`
calls the authors' kernels, `README.md` derives the chunked form.
"""

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Final, Literal, Protocol, overload

import torch
from torch import Tensor

from auharness.ops.backends import Backend, choose, full_precision, full_type, resolve
from auharness.ops.scan import Direction, check_suffix, reverse_flags
from auharness.ops.ssd.arguments import fitted
from auharness.ops.ssd.mamba_ssm import mamba_ssm_missing, ssd_mamba_ssm
from auharness.ops.ssd.reference import ssd_reference
from auharness.ops.ssd.torch_fast import ssd_torch

__all__ = ["BACKENDS", "ssd", "ssd_backend"]


class _Scan(Protocol):
    """What a backend is called with: every tensor with its leading axis of directions, see `ssd_reference`.

    A backend that `reads_half` is given the types of the caller; the others one type, float32 or float64.
    """

    def __call__(
        self,
        x: Tensor,
        dt: Tensor,
        A: Tensor,
        B: Tensor,
        C: Tensor,
        initial_state: Tensor | None,
        *,
        reverse: Sequence[bool],
        suffix: int,
    ) -> tuple[Tensor, Tensor]: ...


def _not_for_kernels(x: Tensor, *, kind: torch.dtype, **facts: object) -> str | None:
    if x.device.type != "cuda":
        return f"its kernels run on CUDA, the tensors are on {x.device.type}"
    if kind == torch.float64:
        return "its kernels have no float64"
    if x.dtype == torch.float32 and not _tf32_allowed():
        return "its kernels round float32 products to TF32 (torch.set_float32_matmul_precision('high') allows that)"
    return None


def _tf32_allowed() -> bool:
    matmul = torch.backends.cuda.matmul
    # torch 2.9 brought the second setting; asking for the first fails where both were used
    if hasattr(matmul, "fp32_precision"):
        return matmul.fp32_precision == "tf32"
    return matmul.allow_tf32


BACKENDS: Final[Mapping[str, Backend[_Scan]]] = MappingProxyType(
    {
        "mamba-ssm": Backend(
            ssd_mamba_ssm,
            missing=mamba_ssm_missing,
            refuses=_not_for_kernels,
            reads_half=True,
        ),
        "torch": Backend(ssd_torch),
        "reference": Backend(ssd_reference),
    }
)
"""Implementations by name, in order of preference."""


def ssd_backend(x: Tensor, *, backend: str | None = None) -> str:
    """Return the name of the backend that `ssd` uses for this `x`.

    Raises:
        UsageError: `backend` is unknown or cannot serve this tensor.

    >>> ssd_backend(torch.zeros(1, 4, 2, 8))
    'torch'
    """
    return resolve("ssd", BACKENDS, x, backend, kind=full_type(x))


@overload
def ssd(
    x: Tensor,
    dt: Tensor,
    A: Tensor,
    B: Tensor,
    C: Tensor,
    *,
    direction: Direction = ...,
    suffix: int = ...,
    initial_state: Tensor | None = ...,
    backend: str | None = ...,
    return_state: Literal[False] = ...,
) -> Tensor: ...
@overload
def ssd(
    x: Tensor,
    dt: Tensor,
    A: Tensor,
    B: Tensor,
    C: Tensor,
    *,
    direction: Direction = ...,
    suffix: int = ...,
    initial_state: Tensor | None = ...,
    backend: str | None = ...,
    return_state: Literal[True],
) -> tuple[Tensor, Tensor]: ...
def ssd(
    x: Tensor,
    dt: Tensor,
    A: Tensor,
    B: Tensor,
    C: Tensor,
    *,
    direction: Direction = "forward",
    suffix: int = 0,
    initial_state: Tensor | None = None,
    backend: str | None = None,
    return_state: bool = False,
) -> Tensor | tuple[Tensor, Tensor]:
    """Return, for every token, what a fading memory of the tokens so far answers, per head.

    A head keeps a matrix `h [P, N]`:

        h_t = exp(dt_t A) h_{t-1} + dt_t x_t B_t^T
        y_t = h_t C_t

    The state is float32 also for half precision; the output has the type of `x`. Once differentiable in every tensor.

    Args:
        x: input `[batch, token, head, P]`.
        dt: step size `[batch, token, head]`, >= 0: bias and softplus are the caller's.
        A: rate of decay `[head]`, <= 0.
        B: weights into the state `[batch, token, head, N]`, or `[batch, token, N]` shared by the heads.
        C: weights out of the state, in one of the two shapes.
        direction: `forward`; `reverse` reads the tokens backwards and returns them in the order given; `both` does
            the two in one pass: every tensor then has a leading axis of 2 (one per direction) or 1 (shared).
        suffix: tokens at the end (CLS) that are read last in either direction (AU-TTT, eq. 6).
        initial_state: state before the first token `[batch, head, P, N]`, or None for zeros.
        backend: `torch`, `reference`, or `mamba-ssm` on CUDA; unset takes the fastest that serves these tensors.
        return_state: also return the state after the last token.

    Returns:
        The output, shaped like `x` (`[2, batch, token, head, P]` for `both`); with `return_state` a pair of it and the
        state `[batch, head, P, N]`, for `both` with a leading axis of 2.

    Raises:
        UsageError: unknown `direction` or `backend`, or `suffix` out of range.
        ValueError: tensors whose shapes do not fit together.
    """
    reverse = reverse_flags("ssd", direction)
    both = len(reverse) == 2
    if not both:
        x, dt, A, B, C = x[None], dt[None], A[None], B[None], C[None]
        initial_state = None if initial_state is None else initial_state[None]
    arguments = x, dt, A, B, C, initial_state
    entry = choose("ssd", BACKENDS, x, backend, kind=full_type(*arguments))
    tensors = fitted(*arguments, directions=len(reverse), widen=not entry.reads_half)
    check_suffix("ssd", suffix, x.shape[2])
    with full_precision(x.device):
        y, state = entry.run(*tensors, reverse=reverse, suffix=suffix)
    y = y.to(x.dtype)
    if not both:
        y, state = y.squeeze(0), state.squeeze(0)
    return (y, state) if return_state else y
