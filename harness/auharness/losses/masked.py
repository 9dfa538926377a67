"""The mean that all losses share."""

from torch import Tensor

__all__ = ["masked_mean"]


def masked_mean(values: Tensor, coded: Tensor) -> Tensor:
    """Return the mean of `values` where `coded` is true, in float32; 0, still differentiable, where nothing is coded.

    Args:
        values: any shape.
        coded: bool, broadcastable to `values`.

    >>> import torch
    >>> masked_mean(torch.tensor([1.0, 2.0, 9.0]), torch.tensor([True, True, False])).item()
    1.5
    """
    mask = coded.expand_as(values)
    kept = values.float().where(mask, values.new_zeros((), dtype=values.float().dtype))
    return kept.sum() / mask.sum().clamp(min=1)
