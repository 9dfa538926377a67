"""Where the tokens of a mini-batch lie: copies between sequences and the contiguous blocks that a step works on."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

__all__ = ["Layout", "Pieces", "load", "store"]

Pieces = list[list[tuple[Tensor, bool]]]
"""Per direction, views of the tokens of one step `[batch, head, rows, ...]`, and whether they are read backwards."""


@dataclass(frozen=True)
class Layout:
    """Tokens `[directions, batch, head, token, ...]`, read as blocks `[chains, rows, ...]` of one mini-batch.

    A chain is one independent recurrence (direction x batch x head).

    Attributes:
        lead: sizes of directions, batch and head.
        token: tokens in the sequence.
        d: width of a head.
        mini_batch: tokens per step.
        reverse: which direction reads backwards.
        suffix: tokens at the end that are read last in either direction.
    """

    lead: tuple[int, int, int]
    token: int
    d: int
    mini_batch: int
    reverse: tuple[bool, ...]
    suffix: int

    @property
    def chains(self) -> int:
        """Number of independent recurrences."""
        return self.lead[0] * self.lead[1] * self.lead[2]

    @property
    def rows(self) -> list[int]:
        """Tokens in each step; the last one may have fewer."""
        full, rest = divmod(self.token, self.mini_batch)
        return [self.mini_batch] * full + [rest] * (rest > 0)

    def split(self, x: Tensor) -> Tensor:
        """View the leading axis of chains as directions, batch and head."""
        return torch.unflatten(x, 0, self.lead)

    def directions(self, x: Tensor) -> tuple[Tensor, ...]:
        """View the leading axis of chains as batch and head, one tensor per direction."""
        return self.split(x).unbind(0)

    def per_chain(self, x: Tensor) -> Tensor:
        """Return a value per direction and head, `[directions, head, d]`, as one row per chain `[chains, 1, d]`."""
        return x[:, None].expand(*self.lead, self.d).reshape(self.chains, 1, self.d)

    def empty(self, like: Tensor, *tail: int) -> Tensor:
        """Return uninitialised tokens whose heads lie beside each other, so that joining them copies nothing."""
        directions, batch, head = self.lead
        return like.new_empty(directions, batch, self.token, head, *tail).transpose(2, 3)

    def steps(self, tokens: Tensor) -> list[Pieces]:
        """Return the tokens of each step; a step that runs from reversed tokens into the suffix has two views."""
        return [list(step) for step in zip(*map(self._direction, tokens.unbind(0), self.reverse), strict=True)]

    def _direction(self, tokens: Tensor, reverse: bool) -> Pieces:
        if not reverse:
            return [[(part, False)] for part in torch.split(tokens, self.rows, 2)]
        body, suffix = torch.split(tokens, [self.token - self.suffix, self.suffix], 2)
        inside, start = [], 0
        for rows in self.rows:
            inside.append(min(max(body.shape[2] - start, 0), rows))
            start += rows
        backwards = torch.split(body, inside[::-1], 2)[::-1]
        forwards = torch.split(suffix, [rows - part for rows, part in zip(self.rows, inside, strict=True)], 2)
        pairs = zip(backwards, forwards, strict=True)
        return [[(part, flip) for part, flip in ((b, True), (f, False)) if part.shape[2]] for b, f in pairs]


def load(step: Pieces, blocks: Sequence[Tensor]) -> None:
    """Copy the tokens of one step into a block, given per direction as `[batch, head, rows, ...]`."""
    for parts, block in zip(step, blocks, strict=True):
        for (part, flip), rows in zip(parts, _cut(block, parts), strict=True):
            rows.copy_(part.flip(2) if flip else part)


def store(blocks: Sequence[Tensor], step: Pieces) -> None:
    """Copy a block back to where its tokens belong, the inverse of `load`."""
    for parts, block in zip(step, blocks, strict=True):
        for (part, flip), rows in zip(parts, _cut(block, parts), strict=True):
            part.copy_(rows.flip(2) if flip else rows)


def _cut(block: Tensor, parts: Sequence[tuple[Tensor, bool]]) -> Sequence[Tensor]:
    return (block,) if len(parts) == 1 else torch.split(block, [part.shape[2] for part, _ in parts], 2)
