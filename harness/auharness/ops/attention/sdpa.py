"""Torch's scaled dot-product attention with one kernel pinned, and the kernel that torch would take by itself."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

import torch
from torch import Tensor
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.nn.functional import scaled_dot_product_attention

from auharness.errors import UsageError

__all__ = ["KERNELS", "sdpa", "sdpa_choice"]

KERNELS: Final[Mapping[str, SDPBackend]] = MappingProxyType(
    {
        "sdpa-flash": SDPBackend.FLASH_ATTENTION,
        "sdpa-cudnn": SDPBackend.CUDNN_ATTENTION,
        "sdpa-efficient": SDPBackend.EFFICIENT_ATTENTION,
        "sdpa-math": SDPBackend.MATH,
    }
)
"""Torch's kernels by our names."""
_NAMES = {kernel.value: name for name, kernel in KERNELS.items()}


def sdpa_choice(q: Tensor, k: Tensor, v: Tensor, *, causal: bool) -> str:
    """Return the name of the kernel that torch chooses for these tensors under its present settings."""
    # where no kernel is built for the device torch answers with a negative number and runs the plain formula
    return _NAMES.get(torch._fused_sdp_choice(q, k, v, is_causal=causal), "sdpa-math")


def sdpa(q: Tensor, k: Tensor, v: Tensor, *, causal: bool, kernel: str) -> Tensor:
    """Return torch's attention by this kernel.

    Raises:
        UsageError: the kernel does not support these tensors.
    """
    if torch.compiler.is_compiling():  # the pin is a context manager, which would break the compiled graph
        return scaled_dot_product_attention(q, k, v, is_causal=causal)
    try:
        with sdpa_kernel(KERNELS[kernel]):
            return scaled_dot_product_attention(q, k, v, is_causal=causal)
    except RuntimeError as error:
        if "No available kernel" not in str(error):
            raise
        raise UsageError(
            f"attention backend '{kernel}' does not support {q.dtype} tensors of {list(q.shape)} on {q.device.type}; "
            "leave backend unset to let torch choose"
        ) from error
