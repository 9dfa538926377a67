"""The walk of the fast paths over a sequence: the arguments of one mini-batch after the other, in reused memory."""

from collections.abc import Iterator

import torch
from torch import Tensor

from auharness.ops.ttt.layout import Layout, Pieces, load

__all__ = ["MiniBatch", "walk"]


class MiniBatch:
    """The arguments of one step, in memory that the next step of the same size overwrites."""

    def __init__(self, token_scale: Tensor, layout: Layout, rows: int) -> None:
        m, d, new = layout.chains, layout.d, token_scale.new_empty
        # queries above keys, each with a column of ones that carries the bias
        self.x = token_scale.new_ones(m, 2 * rows, d + 1)
        self.queries, self.keys = self.x.chunk(2, 1)
        self.q, self.k = self.queries[..., :d], self.keys[..., :d]
        self.target = new(m, rows, d)  # v - k
        self.lr = new(m, rows)
        self.lr_row = self.lr[:, None]
        scale = token_scale[:, None, None, :rows, None].expand(*layout.lead, rows, rows)
        self.scale = scale.tril().flatten(0, 2)  # token_scale_i where i >= j, else 0
        self.eta = new(m, rows, rows)  # scale_ij lr_j
        self.move = self.eta[:, -1, :, None]  # its last row: the step sizes of the state
        self.zero = token_scale.new_zeros(m, rows, 1)
        self._blocks = [layout.directions(x) for x in (self.q, self.k, self.target, self.lr)]

    def load(self, *steps: Pieces) -> None:
        """Read the queries, keys, values and learning rates of one step."""
        for step, blocks in zip(steps, self._blocks, strict=True):
            load(step, blocks)
        self.target.sub_(self.k)
        torch.mul(self.scale, self.lr_row, out=self.eta)


def walk(
    q: Tensor, k: Tensor, v: Tensor, lr: Tensor, token_scale: Tensor, layout: Layout, *more: Tensor
) -> Iterator[tuple[MiniBatch, tuple[Pieces, ...], tuple[Pieces, ...]]]:
    """Yield, per step, its memory, the pieces of q, k, v and lr to be loaded into it, and those of `more`."""
    memory = {rows: MiniBatch(token_scale, layout, rows) for rows in set(layout.rows)}
    arguments = zip(*(layout.steps(x) for x in (q, k, v, lr)), strict=True)
    others = zip(*(layout.steps(x) for x in more), strict=True)
    return zip((memory[rows] for rows in layout.rows), arguments, others, strict=True)
