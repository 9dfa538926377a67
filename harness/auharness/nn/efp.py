"""The enhanced fusion projector of AU-LLM: mid- and high-level features to one token of a language model."""

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Final, Literal

from torch import Tensor, nn

__all__ = ["EFP", "Activation"]

Activation = Literal["gelu", "tanh", "relu", "identity"]

_ACTIVATIONS: Final[Mapping[str, Callable[[], nn.Module]]] = MappingProxyType(
    {"gelu": nn.GELU, "tanh": nn.Tanh, "relu": nn.ReLU, "identity": nn.Identity}
)


class EFP(nn.Module):
    """f_cat `[B,F]` to the visual token `[B,D]`: T_v = s(W2 ReLU(W1 f_cat + b1) + b2) (arXiv:2507.21778, eq. 3).

    The hidden layer has (F + D) // 2 units, with dropout behind its ReLU, as in the released code.

    Args:
        features: F.
        width: D, the embedding width of the language model.
        activation: s, which the paper leaves open.
        dropout: probability.
        linear: one linear layer in the place of all that (the paper's EFP-).
    """

    def __init__(
        self, features: int, width: int, *, activation: Activation = "gelu", dropout: float = 0.3, linear: bool = False
    ) -> None:
        super().__init__()
        hidden = (features + width) // 2
        if linear:
            self.project = nn.Sequential(nn.Linear(features, width))
            return
        self.project = nn.Sequential(
            nn.Linear(features, hidden),
            nn.ReLU(),
            nn.Dropout(dropout),
            nn.Linear(hidden, width),
            _ACTIVATIONS[activation](),
        )

    def forward(self, features: Tensor) -> Tensor:
        return self.project(features)
