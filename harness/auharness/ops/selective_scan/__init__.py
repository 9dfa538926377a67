"""Selective scan: the recurrence of Mamba, a diagonal state space whose step, input and output follow the token.

`reference.py` defines it (arXiv:2312.00752), `torch_fast.py` computes the same with a hand-written backward,
`README.md` derives both.
"""

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Final, Literal, Protocol, overload

import torch
from torch import Tensor

from auharness.errors import UsageError, near
from auharness.ops.backends import Backend, called_as_is, choose, full_precision, full_type, needs, resolve
from auharness.ops.scan import Direction, check_suffix, reverse_flags
from auharness.ops.selective_scan.arguments import fitted
from auharness.ops.selective_scan.mamba_ssm import mamba_ssm_missing, mamba_ssm_refuses, selective_scan_mamba_ssm
from auharness.ops.selective_scan.reference import selective_scan_reference
from auharness.ops.selective_scan.torch_fast import selective_scan_torch

__all__ = ["BACKENDS", "Discretization", "selective_scan", "selective_scan_backend"]

Discretization = Literal["euler", "zoh"]

_ZOH: Final[Mapping[str, bool]] = {"euler": False, "zoh": True}


class _Scan(Protocol):
    """What a backend is called with: every tensor with its leading axis of directions, see `selective_scan_reference`.

    A backend that `reads_half` is given the types of the caller; the others one type, float32 or float64. It returns
    the state in float32, or float64 for float64.
    """

    def __call__(
        self,
        u: Tensor,
        delta: Tensor,
        A: Tensor,
        B: Tensor,
        C: Tensor,
        D: Tensor | None,
        z: Tensor | None,
        delta_bias: Tensor | None,
        initial_state: Tensor | None,
        *,
        softplus: bool,
        zoh: bool,
        reverse: Sequence[bool],
        suffix: int,
    ) -> tuple[Tensor, Tensor]: ...


def _not_for_triton(u: Tensor, *, state_size: int, kind: torch.dtype, **facts: object) -> str | None:
    if not u.is_cuda:
        return f"its kernels run on a GPU, u is on {u.device}"
    if kind == torch.float64:
        return "its kernels have no float64"
    return f"its kernels have states of at most 256, not {state_size}" if state_size > 256 else None


def _not_for_numba(u: Tensor, *, kind: torch.dtype, **facts: object) -> str | None:
    if u.device.type != "cpu":
        return f"its kernels run on the CPU, u is on {u.device}"
    return "its kernels have no float64" if kind == torch.float64 else None


BACKENDS: Final[Mapping[str, Backend[_Scan]]] = MappingProxyType(
    {
        "triton": Backend(
            "auharness.ops.selective_scan.triton_gpu:selective_scan_triton",
            missing=needs("triton", extra="gpu", device="cuda"),
            refuses=_not_for_triton,
            reads_half=True,
        ),
        "mamba-ssm": Backend(
            selective_scan_mamba_ssm, missing=mamba_ssm_missing, refuses=mamba_ssm_refuses, reads_half=True
        ),
        "numba": Backend(
            "auharness.ops.selective_scan.numba_cpu:selective_scan_numba",
            missing=needs("numba", extra="cpu"),
            refuses=_not_for_numba,
        ),
        "torch": Backend(selective_scan_torch),
        "reference": Backend(selective_scan_reference),
    }
)
"""Implementations by name, in order of preference."""


def selective_scan_backend(
    u: Tensor,
    *,
    state_size: int = 16,
    discretization: Discretization = "euler",
    direction: Direction = "forward",
    initial_state: bool = False,
    return_state: bool = False,
    backend: str | None = None,
) -> str:
    """Return the name of the backend that `selective_scan` uses for this `u` and these options.

    Args:
        u: the input, or an empty tensor of its device and type.
        state_size: length of the state of each channel.
        discretization: as for `selective_scan`; `direction` and `backend` alike.
        direction: as for `selective_scan`.
        initial_state: whether one is given.
        return_state: whether the state after the last token is asked for.
        backend: name to check, or None to choose.

    Raises:
        UsageError: `discretization`, `direction` or `backend` is unknown, or the backend cannot serve this call.

    >>> selective_scan_backend(torch.zeros(1, 4, 8), backend="reference")
    'reference'
    """
    facts = _facts(
        state_size=state_size,
        zoh=_zoh(discretization),
        reverse=reverse_flags("selective_scan", direction),
        initial_state=initial_state,
        return_state=return_state,
        kind=full_type(u),
    )
    return resolve("selective_scan", BACKENDS, u, backend, **facts)


@overload
def selective_scan(
    u: Tensor,
    delta: Tensor,
    A: Tensor,
    B: Tensor,
    C: Tensor,
    D: Tensor | None = ...,
    z: Tensor | None = ...,
    delta_bias: Tensor | None = ...,
    *,
    delta_softplus: bool = ...,
    discretization: Discretization = ...,
    direction: Direction = ...,
    suffix: int = ...,
    initial_state: Tensor | None = ...,
    backend: str | None = ...,
    return_state: Literal[False] = ...,
) -> Tensor: ...
@overload
def selective_scan(
    u: Tensor,
    delta: Tensor,
    A: Tensor,
    B: Tensor,
    C: Tensor,
    D: Tensor | None = ...,
    z: Tensor | None = ...,
    delta_bias: Tensor | None = ...,
    *,
    delta_softplus: bool = ...,
    discretization: Discretization = ...,
    direction: Direction = ...,
    suffix: int = ...,
    initial_state: Tensor | None = ...,
    backend: str | None = ...,
    return_state: Literal[True],
) -> tuple[Tensor, Tensor]: ...
@called_as_is
def selective_scan(
    u: Tensor,
    delta: Tensor,
    A: Tensor,
    B: Tensor,
    C: Tensor,
    D: Tensor | None = None,
    z: Tensor | None = None,
    delta_bias: Tensor | None = None,
    *,
    delta_softplus: bool = False,
    discretization: Discretization = "euler",
    direction: Direction = "forward",
    suffix: int = 0,
    initial_state: Tensor | None = None,
    backend: str | None = None,
    return_state: bool = False,
) -> Tensor | tuple[Tensor, Tensor]:
    """Return, for every token, what a decaying memory of the tokens so far answers, per channel.

    Channel d keeps `state` numbers `h`; with the step size `s = delta_t + delta_bias` (softplus of it if asked)

        h_t = exp(s A) h_{t-1} + s B_t u_t            (euler, Mamba)
        h_t = exp(s A) h_{t-1} + (exp(s A) - 1) / A B_t u_t      (zoh, exact for an input held over the step)
        y_t = (C_t . h_t + D u_t) silu(z_t)

    The state is float32 also for half precision; the output has the type of `u`. Once differentiable in every tensor.

    Args:
        u: input `[batch, token, dim]`.
        delta: step size, shaped like `u`.
        A: decay rates `[dim, state]`, negative for a memory that fades; 0 is allowed.
        B: weights into the state `[batch, token, state]`.
        C: weights out of the state, shaped like `B`.
        D: weight of the input in the output `[dim]`, or None to leave it out.
        z: gate before its SiLU, shaped like `u`, or None for none.
        delta_bias: added to `delta`, `[dim]`, or None.
        delta_softplus: pass `delta + delta_bias` through softplus.
        discretization: `euler` (Mamba) or `zoh` (zero-order hold).
        direction: `forward`; `reverse` reads the tokens backwards and returns them in the order given; `both` does
            the two in one pass: every tensor then has a leading axis of 2 (one per direction) or 1 (shared).
        suffix: tokens at the end (CLS) that are read last in either direction (AU-TTT, eq. 6).
        initial_state: state before the first token `[batch, dim, state]`, or None for zeros.
        backend: `torch` or `reference`, `numba` on a CPU, `triton` or `mamba-ssm` on a GPU; unset takes the fastest
            that serves these tensors.
        return_state: also return the state after the last token.

    Returns:
        The output, shaped like `u` (`[2, batch, token, dim]` for `both`); with `return_state` a pair of it and the
        state `[batch, dim, state]`, for `both` with a leading axis of 2.

    Raises:
        UsageError: unknown `discretization`, `direction` or `backend`, or `suffix` out of range.
        ValueError: tensors whose shapes do not fit together.
    """
    zoh = _zoh(discretization)
    reverse = reverse_flags("selective_scan", direction)
    both = len(reverse) == 2
    if not both:
        u, delta, A, B, C = u[None], delta[None], A[None], B[None], C[None]
        D, z, delta_bias, initial_state = (x if x is None else x[None] for x in (D, z, delta_bias, initial_state))
    arguments = u, delta, A, B, C, D, z, delta_bias, initial_state
    facts = _facts(
        state_size=A.shape[-1],
        zoh=zoh,
        reverse=reverse,
        initial_state=initial_state is not None,
        return_state=return_state,
        kind=full_type(*arguments),
    )
    entry = choose("selective_scan", BACKENDS, u, backend, **facts)
    tensors = fitted(*arguments, directions=len(reverse), widen=not entry.reads_half)
    check_suffix("selective_scan", suffix, u.shape[2])
    with full_precision(u.device):
        y, state = entry.run(*tensors, softplus=delta_softplus, zoh=zoh, reverse=reverse, suffix=suffix)
    y = y.to(u.dtype)
    if not both:
        y, state = y.squeeze(0), state.squeeze(0)
    return (y, state) if return_state else y


def _zoh(discretization: str) -> bool:
    if discretization not in _ZOH:
        raise UsageError(
            f"selective_scan has no discretization '{discretization}'{near(discretization, _ZOH)} "
            f"(discretizations: {', '.join(_ZOH)})"
        )
    return _ZOH[discretization]


def _facts(
    *,
    state_size: int,
    zoh: bool,
    reverse: Sequence[bool],
    initial_state: bool,
    return_state: bool,
    kind: torch.dtype,
) -> dict[str, object]:
    """Return what a backend may refuse a call for."""
    return {
        "state_size": state_size,
        "zoh": zoh,
        "reverse": any(reverse),
        "initial_state": initial_state,
        "state": return_state,
        "kind": kind,
    }
