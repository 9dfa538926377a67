"""Squared error of predicted heatmaps (AU-TTT, eq. 10)."""

from typing import Literal

from torch import Tensor

from auharness.losses.masked import masked_mean

__all__ = ["heatmap_mse"]


def heatmap_mse(
    predicted: Tensor, truth: Tensor, *, coded: Tensor, reduction: Literal["mean", "squared-norm"] = "mean"
) -> Tensor:
    """Return the squared error between heatmaps of coded AUs (arXiv:2503.23450, eq. 10).

    Args:
        predicted: `[B,A,h,w]`.
        truth: `[B,A,h,w]`.
        coded: `[B,A]` bool; maps of other AUs do not count.
        reduction: `mean` over all cells of all coded maps (as FG-Net), or the equation's `squared-norm`: the sum over
            the maps of a sample, mean over the batch.
    """
    error = (predicted.float() - truth.float()).square()
    mask = coded[..., None, None]
    if reduction == "mean":
        return masked_mean(error, mask)
    return (error * mask).flatten(1).sum(1).mean()
