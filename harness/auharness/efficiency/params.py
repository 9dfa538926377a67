"""How many numbers a module learns."""

from torch import nn

__all__ = ["count_parameters"]


def count_parameters(module: nn.Module, *, trainable: bool = False) -> int:
    """Return the number of parameters; one that several parts share counts once, buffers do not count.

    Args:
        module: on any device, also `meta`.
        trainable: leave out frozen parameters.

    >>> count_parameters(nn.Linear(3, 4))
    16
    """
    return sum(p.numel() for p in module.parameters() if p.requires_grad or not trainable)
