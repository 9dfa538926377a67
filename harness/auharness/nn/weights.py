"""Starting weights for a fresh module."""

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from auharness.errors import DataError

__all__ = ["load_matching", "resize_positions"]


def load_matching(module: nn.Module, weights: Mapping[str, Tensor]) -> Sequence[str]:
    """Copy every tensor whose name and shape fit into `module` and return the names of parameters that found none.

    What a module keeps out of its `state_dict`, such as a frozen base model, is neither expected nor listed. A position
    embedding (a name that ends in `positions`) of another square grid is resized. Where most tensors find no place and
    most places no tensor, the few that fit do so by chance.

    Args:
        module: changed in place, parameters and buffers.
        weights: name -> tensor.

    Raises:
        DataError: if no tensor fits, or neither half of the file's tensors nor half of the module's.
    """
    state = module.state_dict()
    fitting: dict[str, Tensor] = {}
    for name, tensor in weights.items():
        own = state.get(name)
        if own is None:
            continue
        if name.endswith("positions") and own.ndim == 3 and tensor.ndim == 3 and own.shape[2] == tensor.shape[2]:
            tensor = resize_positions(tensor, own.shape[1])
        if tensor.shape == own.shape:
            fitting[name] = tensor.to(own.dtype)
    if not fitting or len(fitting) < min(len(weights), len(state)) / 2:
        example = next((name for name in state if name not in fitting), "no tensor")
        odd = next((name for name in weights if name not in fitting), "")
        got = f"{len(weights)} tensors such as '{odd}'" if weights else "no tensor"
        what = f"only {len(fitting)} of {len(weights)} tensors fit" if fitting else "nothing fits"
        raise DataError(
            f"weights: {what} this model; expected names and shapes as in '{example}', got {got}; "
            "check that the file was written for this model and preset"
        )
    module.load_state_dict(fitting, strict=False)
    return [name for name, _ in module.named_parameters() if name in state and name not in fitting]


def resize_positions(positions: Tensor, tokens: int) -> Tensor:
    """Return position embeddings `[1,tokens,D]` for another square grid, bicubic; the class token stays last.

    Embeddings that are not a square grid and one class token on both sides are returned as they are.
    """
    old, new = (round((count - 1) ** 0.5) for count in (positions.shape[1], tokens))
    if old == new or old**2 + 1 != positions.shape[1] or new**2 + 1 != tokens:
        return positions
    grid = positions[:, :-1].float().transpose(1, 2).reshape(1, -1, old, old)
    resized = F.interpolate(grid, size=(new, new), mode="bicubic", align_corners=False)
    patches = resized.flatten(2).transpose(1, 2).to(positions.dtype)
    return torch.cat((patches, positions[:, -1:]), dim=1)
