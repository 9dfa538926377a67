"""Checkpoints without pickle: a nested state of tensors and plain values in one safetensors file."""

import json
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file

from auharness.errors import IntegrityError
from auharness.results.atomic import write_with

__all__ = ["load_state", "save_state"]


def save_state(path: Path, state: Any) -> None:
    """Write a tree of dicts, lists, tuples, numbers, strings, None and tensors atomically."""
    tensors: dict[str, torch.Tensor] = {}
    tree = _pack(state, tensors)
    write_with(path, lambda temporary: save_file(tensors, temporary, metadata={"tree": json.dumps(tree)}))


def load_state(path: Path) -> Any:
    """Read what `save_state` wrote, tensors on the CPU.

    Raises:
        IntegrityError: if the file is not a whole checkpoint; nothing in it is ever executed.
    """
    try:
        with safe_open(path, framework="pt") as file:
            metadata = file.metadata() or {}
            return _unpack(json.loads(metadata["tree"]), file)
    except (SafetensorError, KeyError, ValueError, OSError) as error:
        raise IntegrityError(f"{path}: not a whole checkpoint ({error}); delete it to train this unit anew") from None


def _pack(value: Any, tensors: dict[str, torch.Tensor]) -> Any:
    if isinstance(value, torch.Tensor):
        name = f"t{len(tensors)}"
        tensors[name] = value.detach().cpu().contiguous().clone()
        return {"tensor": name}
    if isinstance(value, dict):
        return {"dict": [[_pack(key, tensors), _pack(item, tensors)] for key, item in value.items()]}
    if isinstance(value, (list, tuple)):
        return {"list" if isinstance(value, list) else "tuple": [_pack(item, tensors) for item in value]}
    if value is None or isinstance(value, (bool, int, float, str)):
        return {"value": value}
    raise TypeError(f"checkpoint: cannot store {type(value).__name__}; expected tensors and plain values")


def _unpack(node: Any, file: Any) -> Any:
    (kind, body), *rest = node.items()
    if rest:
        raise ValueError("malformed tree")
    if kind == "tensor":
        return file.get_tensor(body)
    if kind == "dict":
        return {_unpack(key, file): _unpack(item, file) for key, item in body}
    if kind in ("list", "tuple"):
        items = [_unpack(item, file) for item in body]
        return items if kind == "list" else tuple(items)
    if kind == "value":
        return body
    raise ValueError(f"unknown node {kind!r}")
