"""SSD by the Triton kernels of the authors' package mamba-ssm, on CUDA.

What differs from the other backends: the state between chunks is rounded to the type of C (the one returned is
float32), and float32 products are rounded to TF32.
"""

import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import cache
from importlib import import_module
from importlib.util import find_spec
from types import ModuleType
from typing import Final

import torch
from torch import Tensor

from auharness.ops.backends import import_problem, needs
from auharness.ops.scan import in_scan_order

__all__ = ["mamba_ssm_missing", "ssd_mamba_ssm"]

_CHUNK: Final = 256  # tokens; what the authors' layer asks for

# of all of mamba-ssm only Python and Triton are needed here, and its compiled parts take long to build
_INSTALL: Final = (
    "MAMBA_SKIP_CUDA_BUILD=TRUE MAMBA_FORCE_BUILD=TRUE pip install --no-deps --no-build-isolation mamba-ssm"
)
_installed = needs("mamba_ssm", install=_INSTALL, device="cuda", load=False)


@cache
def mamba_ssm_missing() -> str | None:
    """Return why the package's kernels cannot run on this machine, or None; imports them if they are there."""
    return _installed() or import_problem("the Triton part of mamba-ssm", _kernels)


def ssd_mamba_ssm(
    x: Tensor,
    dt: Tensor,
    A: Tensor,
    B: Tensor,
    C: Tensor,
    initial_state: Tensor | None,
    *,
    reverse: Sequence[bool],
    suffix: int,
) -> tuple[Tensor, Tensor]:
    """Call `mamba_chunk_scan_combined` with the arguments of `ssd_reference`; x, B and C also in half precision."""
    kind = torch.promote_types(torch.promote_types(x.dtype, B.dtype), C.dtype)
    x, B, C = (in_scan_order(tokens.to(kind), reverse, suffix=suffix, dim=-3) for tokens in (x, B, C))
    dt = in_scan_order(dt.float(), reverse, suffix=suffix)
    y, state = _kernels()(
        *map(_beside, (x, dt)),
        A.float().flatten(),
        *map(_beside, (B, C)),
        chunk_size=_CHUNK,
        initial_states=None if initial_state is None else initial_state.float().movedim(0, 1).flatten(1, 2),
        return_final_states=True,
    )
    split = A.shape
    y, state = torch.unflatten(y, 2, split).movedim(2, 0), torch.unflatten(state, 1, split).movedim(1, 0)
    return in_scan_order(y, reverse, suffix=suffix, dim=-3), state


def _beside(tokens: Tensor) -> Tensor:
    """Return `[directions, batch, token, head, ...]` with the directions as more heads: one launch serves them all."""
    return tokens.movedim(0, 2).flatten(2, 3).contiguous()


@cache
def _kernels() -> Callable[..., tuple[Tensor, Tensor]]:
    """Return `mamba_chunk_scan_combined`, also where the package was installed without its compiled scan.

    Raises:
        ImportError: the package cannot be imported even so.
    """
    name = "mamba_ssm.ops.triton.ssd_combined"
    try:
        module = import_module(name)
    except ImportError:
        # the package imports its compiled Mamba-1 scan first, which these kernels do not need
        with _without_init("mamba_ssm"):
            module = import_module(name)
    return module.mamba_chunk_scan_combined


@contextmanager
def _without_init(package: str) -> Iterator[None]:
    """Let submodules of a package be imported in the body without running the package's own `__init__`."""
    spec = find_spec(package)
    if spec is None or spec.submodule_search_locations is None:
        raise ImportError(f"{package} is not installed")
    hollow = ModuleType(package)
    hollow.__path__ = list(spec.submodule_search_locations)
    sys.modules[package] = hollow
    try:
        yield
    finally:
        del sys.modules[package]
