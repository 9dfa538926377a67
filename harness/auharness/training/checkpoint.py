"""Checkpoints without pickle: a nested state of tensors and plain values in one safetensors file, with its digest."""

import hashlib
import json
from collections.abc import Mapping
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
    tree = json.dumps(_pack(state, tensors))
    metadata = {"tree": tree, "sha256": _digest(tree, tensors)}
    write_with(path, lambda temporary: save_file(tensors, temporary, metadata=metadata))


def load_state(path: Path) -> Any:
    """Read what `save_state` wrote, tensors on the CPU.

    Raises:
        IntegrityError: if the file is not a whole checkpoint; nothing in it is ever executed.
    """
    try:
        with safe_open(path, framework="pt") as file:
            metadata = file.metadata() or {}
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118  # not a mapping
        if metadata["sha256"] != _digest(metadata["tree"], tensors):
            raise ValueError("its content is not what was written")
        return _unpack(json.loads(metadata["tree"]), tensors)
    except (SafetensorError, KeyError, ValueError, TypeError, AttributeError, RecursionError, OSError) as error:
        raise IntegrityError(f"{path}: not a whole checkpoint ({error}); delete it to train this unit anew") from None


def _digest(tree: str, tensors: Mapping[str, torch.Tensor]) -> str:
    """Return the sha256 of the tree and of the tensors' bytes: safetensors keeps none."""
    found = hashlib.sha256(tree.encode())
    for name in sorted(tensors):
        found.update(name.encode())
        found.update(tensors[name].reshape(-1).view(torch.uint8).numpy().data)
    return found.hexdigest()


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


def _unpack(node: Any, tensors: Mapping[str, torch.Tensor]) -> Any:
    (kind, body), *rest = node.items()
    if rest:
        raise ValueError("malformed tree")
    if kind == "tensor":
        return tensors[body]
    if kind == "dict":
        return {_unpack(key, tensors): _unpack(item, tensors) for key, item in body}
    if kind in ("list", "tuple"):
        items = [_unpack(item, tensors) for item in body]
        return items if kind == "list" else tuple(items)
    if kind == "value":
        return body
    raise ValueError(f"unknown node {kind!r}")
