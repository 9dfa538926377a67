"""Selective scan by the CUDA kernel of the authors' package mamba-ssm: forward only, Euler only, from a zero state.

The package passes no gradient through the last state, so the table in `__init__.py` leaves it out where one may be
asked for.
"""

from collections.abc import Sequence
from functools import cache, reduce
from importlib import import_module
from typing import Final

import torch
from torch import Tensor

from auharness.ops.backends import import_problem, needs

__all__ = ["INSTALL", "mamba_ssm_missing", "mamba_ssm_refuses", "selective_scan_mamba_ssm"]

_INTERFACE = "mamba_ssm.ops.selective_scan_interface"
_LARGEST_STATE = 256

INSTALL: Final = (
    "MAMBA_FORCE_BUILD=TRUE MAMBA_KEEP_CUDA_BUILD=TRUE pip install --no-deps --no-build-isolation mamba-ssm"
)
"""The command that builds the package with its compiled scan, which needs nvcc."""

_installed = needs("mamba_ssm", install=INSTALL, device="cuda", load=False)


@cache
def mamba_ssm_missing() -> str | None:
    """Return why the package's scan cannot run on this machine, or None; imports it where it seems to be there."""
    reason = _installed()
    if reason is not None:
        return reason
    reason = import_problem("the compiled scan of mamba-ssm", _load)
    return reason and f"{reason}; docs/gpu.md says how to build it"


def _load() -> None:
    extension = import_module("selective_scan_cuda")
    # an empty module of that name is how the package's other kernels are reached without this one
    if not all(callable(getattr(extension, name, None)) for name in ("fwd", "bwd")):
        raise ImportError("selective_scan_cuda is a stub")
    import_module(_INTERFACE)


def mamba_ssm_refuses(
    u: Tensor, *, state_size: int, zoh: bool, reverse: bool, initial_state: bool, state: bool, kind: torch.dtype
) -> str | None:
    """Return why the package's scan cannot serve this call, or None.

    `state` says whether the last one is asked for, `kind` in which type the operator is to compute.
    """
    if not u.is_cuda:
        return f"its kernel reads CUDA tensors, u is on {u.device}"
    if kind == torch.float64:
        return "its kernel has no float64"
    if zoh:
        return "its kernel discretises by Euler only"
    if reverse:
        return "its kernel scans forward only"
    if initial_state:
        return "its kernel starts from zeros only"
    if state and torch.is_grad_enabled():
        return "it has no gradient of the state it returns"
    if state_size > _LARGEST_STATE:
        return f"its kernel has states of at most {_LARGEST_STATE}, not {state_size}"
    return None


def selective_scan_mamba_ssm(
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
) -> tuple[Tensor, Tensor]:
    """Call `selective_scan_fn` with the arguments of `selective_scan_reference`, of one forward direction.

    The tensors that have tokens may be half precision. No gradient passes through the state that is returned.
    """
    by_token = [x for x in (u, delta, B, C, z) if x is not None]
    # the kernel reads them in one type
    kind = reduce(torch.promote_types, (x.dtype for x in by_token))

    def tokens_last(x: Tensor) -> Tensor:
        return x[0].mT.to(kind).contiguous()

    scan = import_module(_INTERFACE).selective_scan_fn
    y, state = scan(
        tokens_last(u),
        tokens_last(delta),
        A[0].float(),
        tokens_last(B),
        tokens_last(C),
        None if D is None else D[0].float(),
        None if z is None else tokens_last(z),
        None if delta_bias is None else delta_bias[0].float().contiguous(),
        delta_softplus=softplus,
        return_last_state=True,
    )
    return y.mT[None], state.detach()[None]
