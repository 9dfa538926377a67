"""The way out of torch.compile; imported only while it traces, since naming it brings the whole compiler."""

from collections.abc import Callable

import torch

__all__ = ["uncompiled"]


@torch.compiler.disable  # type: ignore[untyped-decorator]  # torch leaves it untyped
def uncompiled(operator: Callable[..., object], *arguments: object, **options: object) -> object:
    """Return `operator(*arguments, **options)` as it is without torch.compile, its gradients too."""
    return operator(*arguments, **options)
