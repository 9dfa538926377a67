"""Grad-CAM: where in the image, and when in the clip, the evidence for one output lies (Selvaraju et al., ICCV 2017).

The map of a layer is ReLU(sum_c w_c a_c), eqs. 1 and 2: a_c are its activations, w_c the mean of the output's gradient
over their places. In a volume `[B,C,T',H,W]` the places are those of all times, so a channel has one weight per clip;
frames that a network sees one by one, `[B*T',C,H,W]`, are images of their own and have their own weights. In both,
values of different times are in the same unit and can be compared.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional as F

from auharness.api import Output
from auharness.errors import UsageError
from auharness.training.predictor import as_output

__all__ = ["Cams", "frame_places", "grad_cam", "normalised", "on_frames"]


@dataclass(frozen=True, slots=True)
class Cams:
    """What one forward and one backward pass show."""

    output: Output
    """Without gradients; logits `[B,A]`, over the mean of time."""
    cells: dict[str, Tensor]
    """Layer -> `[B,T',H,W]`, 0 or more, in units of the output times the activation; T' is 1 for a map of all times."""


def grad_cam(module: nn.Module, inputs: Sequence[Tensor], *, layers: Mapping[str, nn.Module], outputs: Tensor) -> Cams:
    """Return the maps of some layers for one output of each sample.

    Args:
        module: is set to evaluation mode; returns logits `[B,A]`, `[B,T,A]` (the mean over time counts) or `Output`.
        inputs: what it is called with; each begins with the batch.
        layers: name -> layer, as `ModelPlugin.cam_layers` gives them.
        outputs: `[B]` int, the number of each sample's output.

    Raises:
        UsageError: if a layer is not used, used twice, computed without gradients, or has no places.
    """
    module.eval()
    seen: dict[str, list[Tensor]] = {name: [] for name in layers}
    handles = [layer.register_forward_hook(_keeper(name, seen[name])) for name, layer in layers.items()]
    leaves = [x.detach().requires_grad_() if x.is_floating_point() else x for x in inputs]
    try:
        # a recurrent network of cuDNN has no backward pass in evaluation mode
        with torch.enable_grad(), _without_cudnn(module):
            output = as_output(module(*leaves))
            logits = output.logits.mean(dim=1) if output.logits.ndim == 3 else output.logits
            kept = {name: _only(name, found) for name, found in seen.items()}
            chosen = logits.gather(1, outputs.view(-1, 1)).sum()
            gradients = _gradients(chosen, kept)
    finally:
        for handle in handles:
            handle.remove()
    cells = {name: _cells(name, kept[name].detach(), gradients[name], batch=len(logits)) for name in kept}
    aux = {name: value.detach() for name, value in output.aux.items() if isinstance(value, Tensor)}
    return Cams(Output(logits.detach(), aux), cells)


def on_frames(cells: Tensor, *, frames: int, size: int, first: int = 0) -> Tensor:
    """Spread a map over the frames and pixels that the network was given, `[B,T',H,W] -> [B,T,S,S]`.

    The cells of each axis share its length evenly, and values between their centres are interpolated linearly; see
    `frame_places` for time. A map of all times (T' = 1) is the same on all frames. Frames before `first` are NaN.

    Args:
        cells: from `grad_cam`.
        frames: T.
        size: S, side of the image in pixels.
        first: first frame that reaches the layer.
    """
    shown = F.interpolate(cells[:, None], size=(frames - first, size, size), mode="trilinear", align_corners=False)
    unseen = shown.new_full((len(cells), first, size, size), float("nan"))
    return torch.cat((unseen, shown[:, 0]), dim=1)


def frame_places(cells: int, frames: int, first: int = 0) -> NDArray[np.float64]:
    """Return where the centres of T' cells lie on the axis of the frames `first` .. T - 1, `[T']`.

    >>> frame_places(4, 6, first=1).tolist()
    [1.125, 2.375, 3.625, 4.875]
    """
    return np.asarray(first + (np.arange(cells) + 0.5) * ((frames - first) / cells) - 0.5, np.float64)


def normalised(maps: Tensor, *, per_frame: bool = False) -> Tensor:
    """Divide by the largest value of each clip, or of each frame, `[B,T,S,S] -> [B,T,S,S]` in [0, 1].

    Frames of a clip remain comparable in the first case only. A map that is 0 everywhere stays 0; NaN stays NaN.
    """
    places = (2, 3) if per_frame else (1, 2, 3)
    largest = maps.nan_to_num(0.0).amax(dim=places, keepdim=True)
    return torch.where(largest > 0, maps / largest.where(largest > 0, 1.0), maps)


def _keeper(name: str, seen: list[Tensor]) -> Callable[[nn.Module, Any, Any], Any]:
    def keep(_module: nn.Module, _inputs: Any, result: Any) -> Any:
        value = result[0] if type(result) is tuple else result
        if not isinstance(value, Tensor):
            raise UsageError(f"layer '{name}': expected activations as a tensor, got {type(value).__name__}")
        seen.append(value)
        # the next layer may work in place, and would change what was kept
        passed = value.clone()
        return (passed, *result[1:]) if type(result) is tuple else passed

    return keep


def _only(name: str, seen: list[Tensor]) -> Tensor:
    if len(seen) != 1:
        raise UsageError(f"layer '{name}' is used {len(seen)} times in a forward pass, expected once; choose another")
    if not seen[0].requires_grad:
        raise UsageError(f"layer '{name}' is computed without gradients; choose another")
    return seen[0]


def _gradients(chosen: Tensor, kept: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Gradient of each activation; 0 where the output does not depend on it."""
    if not kept:
        return {}
    found = torch.autograd.grad(chosen, list(kept.values()), allow_unused=True)
    return {
        name: torch.zeros_like(value) if gradient is None else gradient
        for (name, value), gradient in zip(kept.items(), found, strict=True)
    }


def _cells(name: str, activation: Tensor, gradient: Tensor, *, batch: int) -> Tensor:
    """Return `[B,T',H,W]`."""
    shape = tuple(activation.shape)
    if activation.ndim == 5 and len(activation) == batch:
        weights = gradient.mean(dim=(2, 3, 4), keepdim=True)
        return torch.relu((weights * activation).sum(dim=1)).float()
    if activation.ndim == 4 and len(activation) % batch == 0:
        weights = gradient.mean(dim=(2, 3), keepdim=True)
        cells: Tensor = torch.relu((weights * activation).sum(dim=1)).float()
        return cells.view(batch, -1, *cells.shape[1:])
    raise UsageError(
        f"layer '{name}' gives {list(shape)} for a batch of {batch}; expected [B,C,T,H,W], [B*T,C,H,W] or [B,C,H,W]"
    )


@contextmanager
def _without_cudnn(module: nn.Module) -> Iterator[None]:
    if not any(isinstance(part, nn.RNNBase) for part in module.modules()):
        yield
        return
    with torch.backends.cudnn.flags(enabled=False):
        yield
