"""Several processes that train one unit together: each computes its share of a batch, all see the loss of the whole.

Every process reads the same batch, so nothing is sampled twice or left out and the augmentation is that of one process.
What the network puts out is gathered before the loss: each denominator (coded labels, samples, their weights) and each
pair of samples is that of the whole batch, whatever loss a plugin writes. Statistics of batch normalisation and random
numbers drawn inside the network are those of each share.
"""

from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Final

import torch
from lightning_fabric import Fabric
from lightning_fabric.plugins.environments.cluster_environment import ClusterEnvironment
from lightning_fabric.strategies.ddp import DDPStrategy
from torch import Tensor, distributed, nn

from auharness.api import Output
from auharness.errors import AuharnessError

__all__ = ["PATIENCE", "Rank", "Ranks", "add_gradients", "gathered", "parallel", "rows_of"]

PATIENCE: Final = timedelta(hours=12)
"""How long a process waits for the others, of which the first also validates and writes. With gloo a dead one is
noticed at once, with NCCL not before this time."""


@dataclass(frozen=True, slots=True)
class Rank:
    """One of the processes of a unit."""

    number: int = 0
    """0 is the unit's own process, the only one that writes."""
    count: int = 1


class Ranks(ClusterEnvironment):
    """Tells Fabric which of the processes this is, wherever the unit runs: it looks for no cluster by itself."""

    def __init__(self, rank: Rank) -> None:
        self._rank = rank

    @property
    def creates_processes_externally(self) -> bool:
        """True: the executor does."""
        return True

    @property
    def main_address(self) -> str:
        """Of this machine."""
        return "127.0.0.1"

    @property
    def main_port(self) -> int:
        """None is asked for: the processes are connected already."""
        return 0

    @staticmethod
    def detect() -> bool:
        """Whether Fabric may choose it without being told."""
        return False

    def world_size(self) -> int:
        """Processes of the unit."""
        return self._rank.count

    def set_world_size(self, size: int) -> None:
        """Keep what is known."""

    def global_rank(self) -> int:
        """Number of this process."""
        return self._rank.number

    def set_global_rank(self, rank: int) -> None:
        """Keep what is known."""

    def local_rank(self) -> int:
        """Number of this process on its machine, and so of its device."""
        return self._rank.number

    def node_rank(self) -> int:
        """All processes of a unit are on one machine."""
        return 0


def parallel(rank: Rank) -> dict[str, Any]:
    """Return what Fabric is told about the processes; these are connected before."""
    told: dict[str, Any] = {"devices": rank.count, "plugins": [Ranks(rank)]}
    if rank.count > 1:
        told["strategy"] = DDPStrategy(timeout=PATIENCE)
    return told


def rows_of(rows: int, rank: int, count: int) -> range:
    """Return which rows of a batch a process computes; they differ by at most one row between processes.

    >>> [list(rows_of(5, rank, 2)) for rank in (0, 1)]
    [[0, 1], [2, 3, 4]]
    """
    return range(rows * rank // count, rows * (rank + 1) // count)


def gathered(output: Output, rows: int, fabric: Fabric) -> Output:
    """Return what all processes put out for a batch, in the order of its rows; a gradient flows into one's own part.

    Args:
        output: for this process's share; of one row, which is left out here, where the share is empty.
        rows: of the whole batch.
        fabric: connects the processes.

    Raises:
        AuharnessError: if an entry of `aux` has neither a row per sample nor a single value, which is averaged.
    """
    sizes = [len(rows_of(rows, rank, fabric.world_size)) for rank in range(fabric.world_size)]
    aux = {name: _joined(value, sizes, fabric, f"aux['{name}']") for name, value in output.aux.items()}
    return Output(_joined(output.logits, sizes, fabric, "logits"), aux)


def add_gradients(module: nn.Module, fabric: Fabric) -> None:
    """Give every process the sum of all processes' gradients; a parameter that none of them used keeps none.

    In the place of torch's reducer, which waits for ever for a parameter that is put out but not in the loss.
    """
    held = [parameter for parameter in module.parameters() if parameter.requires_grad]
    used = torch.tensor([parameter.grad is not None for parameter in held], dtype=torch.int32, device=fabric.device)
    distributed.all_reduce(used, distributed.ReduceOp.MAX)
    for parameter, is_used in zip(held, used.tolist(), strict=True):
        if is_used and parameter.grad is None:
            parameter.grad = torch.zeros_like(parameter)
    grads = [parameter.grad for parameter in held if parameter.grad is not None]
    for dtype in sorted({grad.dtype for grad in grads}, key=str):
        alike = [grad for grad in grads if grad.dtype == dtype]
        flat = torch.cat([grad.flatten() for grad in alike])
        distributed.all_reduce(flat)
        for grad, total in zip(alike, torch.split(flat, [grad.numel() for grad in alike]), strict=True):
            grad.copy_(total.view_as(grad))


def _joined(value: Tensor, sizes: list[int], fabric: Fabric, name: str) -> Tensor:
    own = sizes[fabric.global_rank]
    if value.ndim == 0:
        mean = value.detach().clone()
        distributed.all_reduce(mean)
        return (mean + value - value.detach()) / len(sizes)
    if len(value) != max(own, 1):
        raise AuharnessError(f"recipe.devices: {name} has {len(value)} rows, expected one per sample: {max(own, 1)}")
    padded = value.new_zeros(max(sizes), *value.shape[1:])
    padded[: len(value)] = value.detach()
    parts = [torch.empty_like(padded) for _ in sizes]
    distributed.all_gather(parts, padded)
    parts[fabric.global_rank] = value
    return torch.cat([part[:size] for part, size in zip(parts, sizes, strict=True)])
