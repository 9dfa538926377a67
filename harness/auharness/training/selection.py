"""The score that selects an epoch on held-out training rows, and the running score shown during training."""

import numpy as np
import torch
from torch import Tensor

from auharness.metrics import binary_counts, confusion_matrix, macro_f1, mean_defined, metric, war
from auharness.records import Task

__all__ = ["RunningScore", "decision_value"]


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
        self.counts = np.zeros((task.num_outputs, task.num_outputs if self.multiclass else 4), np.int64)

    def add(self, scores: Tensor, targets: Tensor) -> None:
        """Count one batch: scores `[B,A]` (or `[B,T,A]`), targets int with -1 = not coded."""
        scores, targets = scores.detach().float().cpu(), targets.cpu()
        if self.multiclass:
            coded = targets >= 0
            predicted = scores.argmax(-1)
            self.counts += confusion_matrix(targets[coded].numpy(), predicted[coded].numpy(), self.num_outputs)
            return
        flat = scores.reshape(-1, self.num_outputs)
        target = targets.reshape(-1, self.num_outputs).to(torch.int8).numpy()
        self.counts += binary_counts(target, (flat >= self.threshold).numpy())

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
