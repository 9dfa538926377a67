"""Memory that a call needs above its inputs, and what a forward pass keeps for the backward pass."""

import weakref
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

__all__ = ["peak_bytes", "ran_out", "saved_bytes"]


def peak_bytes(call: Callable[[], object], *, device: torch.device) -> int:
    """Return the most bytes that were allocated at once during a call, above what was allocated before it.

    On CUDA as the allocator counts them. Elsewhere the bytes of all tensors alive at once that operators of torch
    made; scratch memory that a compiled kernel takes for itself is not seen.
    """
    if device.type == "cuda":
        torch.cuda.synchronize()
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats()
        before = torch.cuda.memory_allocated()
        call()
        torch.cuda.synchronize()
        return torch.cuda.max_memory_allocated() - before
    with _Alive() as alive:
        call()
    return alive.peak


def saved_bytes(call: Callable[[], object], *, inputs: Iterable[Tensor]) -> int:
    """Return the bytes that autograd keeps for the backward pass of a forward call, without its inputs.

    Args:
        call: a forward pass with gradients on.
        inputs: tensors that are there anyhow: arguments and parameters.
    """
    known = {x.untyped_storage().data_ptr() for x in inputs}
    kept: dict[int, int] = {}

    def pack(x: Tensor) -> Tensor:
        storage = x.untyped_storage()
        if storage.data_ptr() not in known:
            kept[storage.data_ptr()] = storage.nbytes()
        return x

    with _hooks(pack):
        held = call()  # held until all are counted: an address may be used again once it is free
    del held
    return sum(kept.values())


def ran_out(error: BaseException) -> bool:
    """Return whether an error says that memory ran out, on a GPU or in the CPU's allocator.

    >>> ran_out(torch.OutOfMemoryError("CUDA out of memory")), ran_out(RuntimeError("shapes differ"))
    (True, False)
    """
    return isinstance(error, torch.OutOfMemoryError | MemoryError) or "DefaultCPUAllocator" in str(error)


@contextmanager
def _hooks(pack: Callable[[Tensor], Tensor]) -> Iterator[None]:
    with torch.autograd.graph.saved_tensors_hooks(pack, lambda x: x):
        yield


class _Alive(TorchDispatchMode):  # type: ignore[no-untyped-call]  # torch leaves it untyped
    """Adds up the storages that operators return, until each of them is freed."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]  # likewise
        self.peak = 0
        self._now = 0
        self._seen: dict[int, weakref.ref[Any]] = {}

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        given = {id(x.untyped_storage()) for x in tree_leaves((args, kwargs)) if isinstance(x, Tensor)}
        result = func(*args, **(kwargs or {}))
        for x in tree_leaves(result):
            if isinstance(x, Tensor):
                self._add(x.untyped_storage(), given)
        return result

    def _add(self, storage: torch.UntypedStorage, given: set[int]) -> None:
        key, size = id(storage), storage.nbytes()
        if key in given or key in self._seen:
            return  # a view, or an operator that works in place

        def freed(_: object) -> None:
            self._now -= size
            self._seen.pop(key, None)

        self._seen[key] = weakref.ref(storage, freed)
        self._now += size
        self.peak = max(self.peak, self._now)
