"""Layers of a network that are worth a map: its last convolution, or the stages of a residual network."""

import re
from collections.abc import Mapping

from torch import nn

__all__ = ["last_conv", "stage_layers"]

_STAGE = re.compile(r"(^|\.)layer[234]$")


def last_conv(module: nn.Module) -> Mapping[str, nn.Module]:
    """Return `last-conv`, the convolution over images or clips that is defined last, or nothing where there is none."""
    found = [part for part in module.modules() if isinstance(part, nn.Conv2d | nn.Conv3d)]
    return {"last-conv": found[-1]} if found else {}


def stage_layers(module: nn.Module) -> Mapping[str, nn.Module]:
    """Return the later stages of a residual network, `layer2` to `layer4`, wherever it stands in the module.

    The last one sees most and is coarsest: 2x2 places for an image of 64 px.
    """
    return {name.rpartition(".")[2]: part for name, part in module.named_modules() if _STAGE.search(name) is not None}
