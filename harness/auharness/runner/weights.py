"""Starting weights from a file, and what they were trained on."""

from pathlib import Path

from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file
from torch import Tensor

from auharness.errors import DataError

__all__ = ["read_weights", "weights_origin"]


def read_weights(path: Path) -> dict[str, Tensor]:
    """Return the tensors of a safetensors file; nothing else is ever loaded.

    Raises:
        DataError: if the file is not safetensors.
    """
    try:
        return load_file(path)
    except (SafetensorError, OSError, ValueError) as error:
        raise DataError(f"weights {path}: expected a safetensors file ({error}); see 'auharness pretrain'") from None


def weights_origin(path: Path) -> str:
    """Return what the weights were trained on, as their metadata `pretrained_on` says, or `unknown`."""
    try:
        with safe_open(path, framework="pt") as file:
            return str((file.metadata() or {}).get("pretrained_on", "unknown"))
    except (SafetensorError, OSError, ValueError) as error:
        raise DataError(f"weights {path}: expected a safetensors file ({error}); see 'auharness pretrain'") from None
