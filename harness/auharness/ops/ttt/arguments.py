"""Where the test-time-training operators check their arguments; every message begins with the operator's name."""

from collections.abc import Mapping

import torch
from torch import Tensor

from auharness.errors import UsageError
from auharness.ops.scan import check_suffix

__all__ = ["check_range", "query_sizes", "spelt_out"]


def check_range(operator: str, length: int, scales: int, *, mini_batch: int, suffix: int) -> None:
    """Check the settings against the number of tokens and of token scales.

    Raises:
        UsageError: `mini_batch` or `suffix` is out of range.
        ValueError: fewer token scales than positions in a mini-batch.
    """
    if mini_batch < 1:
        raise UsageError(f"{operator}: mini_batch is {mini_batch}, expected at least 1; set it to the tokens per row")
    check_suffix(operator, suffix, length)
    if scales < min(mini_batch, length):
        raise ValueError(f"{operator}: token_scale has {scales} entries, mini-batches have {min(mini_batch, length)}")


def query_sizes(operator: str, q: Tensor) -> tuple[int, int, int, int]:
    """Return batch, head, token and d of the queries `[directions, batch, head, token, d]`.

    Raises:
        ValueError: another number of axes, or an empty one.
    """
    if q.ndim != 5 or q.numel() == 0:
        raise ValueError(f"{operator}: q is {list(q.shape)}, expected batch, head, token, d, none of them empty")
    _, batch, head, token, d = q.shape
    return batch, head, token, d


def spelt_out(
    operator: str, expected: Mapping[str, tuple[Tensor, tuple[int, ...]]], *, directions: int, kind: torch.dtype | None
) -> list[Tensor]:
    """Return the tensors with the axes of directions and batch spelt out, as views; converted to `kind` if given.

    Raises:
        ValueError: a tensor does not fit the shape that stands beside it.
    """
    fitting = []
    for name, (x, shape) in expected.items():
        try:
            fitting.append((x if kind is None else x.to(kind)).expand(directions, *shape))
        except RuntimeError as error:
            raise ValueError(
                f"{operator}: {name} is {list(x.shape)}, expected {[directions, *shape]} or 1 for a shared axis"
            ) from error
    return fitting
