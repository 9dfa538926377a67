"""The score that selects an epoch on held-out training rows, and what is shown of an epoch while it trains.

Both keep what a step gives as it is and compute when they are asked: to look at a number on a GPU is to wait for it.
"""

from collections.abc import Mapping

import numpy as np
import torch
from torch import Tensor

from auharness.metrics import Counts, binary_counts, confusion_matrix, macro_f1, mean_defined, metric, war
from auharness.records import Task

__all__ = ["RunningMeans", "RunningScore", "decision_value"]

_WAITING = 1 << 20
"""Scores that may wait to be counted; 4 MiB of float32."""


def decision_value(score_kind: str) -> float:
    """The score at which a label counts as present: 0.5 for probabilities, 0 for logits and margins."""
    return 0.5 if score_kind == "probability" else 0.0


class RunningScore:
    """Counts over batches and the score they give: the task's objective at the fixed threshold, or UAR for classes."""

    def __init__(self, task: Task, score_kind: str) -> None:
        self.multiclass = task.kind == "clip-multiclass"
        self.metric = metric("uar" if self.multiclass else task.objective)
        self.num_outputs = task.num_outputs
        self.threshold = decision_value(score_kind)
        self._counts = np.zeros((task.num_outputs, task.num_outputs if self.multiclass else 4), np.int64)
        self._waiting: list[tuple[Tensor, Tensor]] = []
        self._size = 0

    def add(self, scores: Tensor, targets: Tensor) -> None:
        """Take one batch: scores `[B,A]` (or `[B,T,A]`), targets int with -1 = not coded."""
        self._waiting.append((scores.detach(), targets))
        self._size += scores.numel()
        if self._size > _WAITING:
            self._count()

    @property
    def counts(self) -> Counts:
        """Counts so far: `[A, 4]` for labels, a confusion matrix `[C, C]` for classes."""
        if self._waiting:
            self._count()
        return self._counts

    def _count(self) -> None:
        scores = torch.cat([part.reshape(-1, self.num_outputs) for part, _ in self._waiting]).float().cpu()
        shape = (-1,) if self.multiclass else (-1, self.num_outputs)
        targets = torch.cat([part.reshape(shape) for _, part in self._waiting]).cpu()
        self._waiting, self._size = [], 0
        if self.multiclass:
            coded = targets >= 0
            predicted = scores.argmax(-1)
            self._counts += confusion_matrix(targets[coded].numpy(), predicted[coded].numpy(), self.num_outputs)
        else:
            self._counts += binary_counts(targets.to(torch.int8).numpy(), (scores >= self.threshold).numpy())

    @property
    def value(self) -> float:
        """UAR, or the mean of the objective over the labels that define it, so far; in [0, 1], NaN if none does."""
        return float(mean_defined(self.metric.by_label(self.counts))[0])

    @property
    def curves(self) -> dict[str, float]:
        """UAR, WAR and macro-F1 so far, for classes; empty for labels, whose one score is `value`."""
        if not self.multiclass:
            return {}
        return {"uar": self.value, "war": float(war(self.counts)), "macro_f1": float(macro_f1(self.counts))}


class RunningMeans:
    """Means of what is monitored over the rows of an epoch, e.g. the terms of the loss."""

    def __init__(self) -> None:
        self._terms: dict[str, list[Tensor]] = {}
        self._rows: dict[str, list[int]] = {}

    def add(self, terms: Mapping[str, Tensor], rows: int) -> None:
        """Take the terms of one batch, scalars, each a mean over its rows."""
        for name, term in terms.items():
            self._terms.setdefault(name, []).append(term.detach())
            self._rows.setdefault(name, []).append(rows)

    def values(self, rows: int) -> dict[str, float]:
        """Return the means over all rows; a batch that lacks a term counts 0 to it.

        Args:
            rows: number of all.
        """
        summed = {
            name: sum(value * own for value, own in zip(torch.stack(terms).tolist(), self._rows[name], strict=True))
            for name, terms in self._terms.items()
        }
        return {name: total / max(rows, 1) for name, total in summed.items()}
