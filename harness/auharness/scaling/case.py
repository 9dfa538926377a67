"""One configuration to be measured, and the list of them that a suite goes through."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Final, Literal

__all__ = ["LEVELS", "PHASES", "Case", "Level", "Mode", "Phase", "Sweep", "grid_side", "plan"]

Level = Literal["op", "layer", "model"]
Phase = Literal["forward", "training"]
Mode = Literal["eager", "compiled", "graph"]
Sweep = Literal["length", "tokens", "mini-batch", "frames"]

LEVELS: Final[tuple[Level, ...]] = ("op", "layer", "model")
PHASES: Final[tuple[Phase, ...]] = ("forward", "training")

PATCH = 16
"""Pixels per token of the models, which turns a length into an image size."""
ROW = 14
"""Tokens in a row of a 224-pixel image: the mini-batch of AU-TTT."""


@dataclass(frozen=True, order=True)
class Case:
    """One mixer at one level and size; its phases and modes are measured in one process.

    Attributes:
        level: `op` (on queries, keys, values), `layer` (with projections) or `model` (the whole network).
        mixer: name in the tables of `auharness.scaling.subjects`.
        sweep: which axis it lies on: `length` (batch 1), `tokens` (batch x length fixed), `mini-batch` or `frames`.
        length: tokens in the sequence.
        batch: sequences at once.
        mini_batch: tokens per gradient step of a TTT mixer.
        frames: frames per sequence or images per call, models only.
        dtype: `float32`, `bfloat16` or `float16`.
    """

    level: Level
    mixer: str
    sweep: Sweep
    length: int
    batch: int = 1
    mini_batch: int = 16
    frames: int = 1
    dtype: str = "float32"

    @property
    def tokens(self) -> int:
        """Tokens in all sequences."""
        return self.length * self.batch * self.frames


def plan(
    mixers: dict[Level, Sequence[str]],
    *,
    sweeps: Sequence[Sweep],
    lengths: Sequence[int],
    tokens: int,
    mini_batches: Sequence[int | Literal["L"]],
    frames: Sequence[int],
    at: int,
    dtype: str,
) -> list[Case]:
    """Return the cases of a suite, short sequences first.

    Args:
        mixers: level -> names.
        sweeps: axes to go along.
        lengths: tokens, for the sweeps `length` and `tokens`; a model takes the nearest square image.
        tokens: batch x length of the sweep `tokens`.
        mini_batches: for the sweep `mini-batch`; `L` is the whole sequence.
        frames: for the sweep `frames`.
        at: length of the sweep `mini-batch`.
        dtype: of all tensors.
    """
    cases: list[Case] = []
    for level, names in mixers.items():
        for name in names:
            base = Case(level, name, "length", at, dtype=dtype)
            cases += [case for sweep in sweeps for case in _along(sweep, base, lengths, tokens, mini_batches, frames)]
    return sorted(dict.fromkeys(cases), key=lambda case: (LEVELS.index(case.level), case.mixer, case.tokens, case))


def grid_side(length: int) -> int:
    """Return the patches per side of the square image whose patches and class token come nearest to `length`."""
    return max(1, round((length - 1) ** 0.5))


def _along(
    sweep: Sweep,
    base: Case,
    lengths: Sequence[int],
    tokens: int,
    mini_batches: Sequence[int | Literal["L"]],
    frames: Sequence[int],
) -> Iterator[Case]:
    model = base.level == "model"
    base = replace(base, sweep=sweep)
    if sweep in ("length", "tokens"):
        for length in lengths:
            length = grid_side(length) ** 2 + 1 if model else length
            yield replace(base, length=length, batch=max(1, tokens // length) if sweep == "tokens" else 1)
    elif sweep == "mini-batch" and base.mixer.startswith("ttt") and not model:
        for size in mini_batches:
            yield replace(base, mini_batch=base.length if size == "L" else min(size, base.length))
    elif sweep == "frames" and model:
        for count in frames:
            yield replace(base, length=ROW**2 + 1, frames=count)
