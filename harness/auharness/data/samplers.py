"""Which frames of a clip a model sees."""

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Final

import numpy as np
import torch
from numpy.typing import NDArray

__all__ = ["SAMPLERS", "Indices", "uniform"]

Indices = NDArray[np.int64]


def uniform(length: int, count: int, jitter: torch.Generator | None = None) -> Indices:
    """Return `round(linspace(0, last, count))`, half to even; `last` is the last frame.

    With `jitter` the last index is drawn from [count, length - 2] instead, so that a training clip always begins at
    its first frame and ends early (AU-LLM, released code); a clip too short for that is read whole.

    >>> uniform(24, 6).tolist()
    [0, 5, 9, 14, 18, 23]
    >>> uniform(4, 6).tolist()
    [0, 1, 1, 2, 2, 3]
    """
    last = length - 1
    if jitter is not None and length - 2 >= count:
        last = int(torch.randint(count, length - 1, (1,), generator=jitter))
    return np.linspace(0, last, count).round().astype(np.int64)


SAMPLERS: Final[Mapping[str, Callable[[int, int, torch.Generator | None], Indices]]] = MappingProxyType(
    {"uniform": uniform}
)
"""Sampler by name: `(frames in the clip, frames wanted, generator of the training variation or None) -> indices`."""
