"""Squeeze-and-excitation: each channel is weighted by what all channels see on average."""

from torch import Tensor, nn

__all__ = ["FrameSqueezeExcitation"]

LEAST_HIDDEN = 4
"""What 64 channels have at the usual ratio of 16."""


class FrameSqueezeExcitation(nn.Module):
    """Channel weights per frame, `[B,C,T,H,W] -> ([B,C,T,H,W], [B,C,T])` (Hu et al., CVPR 2018; AU-LLM, sec. 3.1).

    The means over the places of a frame pass C -> hidden -> C without biases, ReLU between and a sigmoid behind.
    Returns the weighted features and the weights, which lie in (0, 1).

    Args:
        channels: C.
        ratio: hidden is C / ratio, and at least 4: a single hidden unit dies in many trainings, and then every channel
            has weight 0.5 for good.
    """

    def __init__(self, channels: int, *, ratio: int = 16) -> None:
        super().__init__()
        hidden = max(LEAST_HIDDEN, channels // ratio)
        self.excite = nn.Sequential(
            nn.Linear(channels, hidden, bias=False), nn.ReLU(), nn.Linear(hidden, channels, bias=False), nn.Sigmoid()
        )

    def forward(self, features: Tensor) -> tuple[Tensor, Tensor]:
        means = features.mean(dim=(3, 4))
        weights = self.excite(means.transpose(1, 2)).transpose(1, 2)
        return features * weights[..., None, None], weights
