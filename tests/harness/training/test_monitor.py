"""What the log of an epoch holds for the training curves."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from sklearn.metrics import accuracy_score, balanced_accuracy_score, f1_score
from torch import Tensor, nn

from auharness.api import Batch, ModelPlugin, Output, Recipe
from auharness.cli.progress import _note
from auharness.records import Task
from auharness.training.loop import Loop
from auharness.training.unit import make_fabric

TASK = Task(("Happy", "Sad", "Neutral"), "clip-multiclass", "made", (6, 4, 2), (12,) * 3, 16)
TRUTH = torch.tensor([0] * 6 + [1] * 4 + [2] * 2)


class Rows:
    """Twelve rows of three numbers; stands in for the source of a part."""

    def __len__(self) -> int:
        return 12

    def batches_from(self, size: int, *, seed: int, start: int, device: torch.device) -> Iterator[Batch]:
        return self.batches(size, device=device)

    @property
    def targets(self) -> Tensor:
        return TRUTH.to(torch.int8)

    def gather(self, scores: Tensor) -> Tensor:
        return scores

    def batches(self, size: int, *, device: torch.device) -> Iterator[Batch]:
        numbers = torch.randn(12, 3, generator=torch.Generator().manual_seed(5)) + nn.functional.one_hot(TRUTH, 3)
        for which in torch.split(torch.arange(12), size):
            yield {"image": numbers[which], "target": TRUTH[which].to(torch.int8)}


class Watched(ModelPlugin):
    """Its one term has no gradient to give; the other is for the log."""

    name = "watched"
    recipe: Recipe = Recipe(epochs=1, batch_size=5, eval_batch_size=7, optimiser="sgd", weight_decay=0, lr=1e-9)

    def build(self, task: Task) -> nn.Module:
        layer = nn.Linear(3, 3, bias=False)
        nn.init.eye_(layer.weight)
        return layer

    def monitor(self, output: Output, batch: Batch, task: Task) -> dict[str, Tensor]:
        assert not torch.is_grad_enabled() or not output.logits.requires_grad
        return {"rows": output.logits[:, 0].sum() / len(output.logits)}


@pytest.fixture
def epoch(tmp_path: Path) -> dict[str, Any]:
    logged: list[dict[str, Any]] = []
    rows: Any = Rows()
    fabric = make_fabric("cpu", "32-true")
    loop = Loop(
        Watched(), TASK, fabric=fabric, seed=3, folder=tmp_path, log=lambda event, **values: logged.append(values)
    )
    loop.run(rows, rows)
    return logged[-1]


def test_monitored_scalars_are_logged_as_means_over_rows(epoch: dict[str, Any]) -> None:
    numbers = torch.cat([batch["image"] for batch in Rows().batches(12, device=torch.device("cpu"))])
    assert epoch["rows"] == pytest.approx(float(numbers[:, 0].mean()), abs=1e-5)
    assert epoch["val_rows"] == pytest.approx(float(numbers[:, 0].mean()), abs=1e-5)


def test_classes_have_uar_war_and_macro_f1_as_scikit_learn_counts_them(epoch: dict[str, Any]) -> None:
    numbers = torch.cat([batch["image"] for batch in Rows().batches(12, device=torch.device("cpu"))])
    truth, chosen = TRUTH.numpy(), numbers.argmax(1).numpy()
    assert 0 < accuracy_score(truth, chosen) < 1
    for part in ("train", "val"):
        assert epoch[f"{part}_uar"] == pytest.approx(balanced_accuracy_score(truth, chosen))
        assert epoch[f"{part}_war"] == pytest.approx(accuracy_score(truth, chosen))
        assert epoch[f"{part}_macro_f1"] == pytest.approx(f1_score(truth, chosen, average="macro"))
    assert epoch["inner_val"] == epoch["val_uar"]


def test_the_progress_line_names_the_score_of_classes_and_leaves_the_curves_out(epoch: dict[str, Any]) -> None:
    line = _note(epoch)
    assert "train UAR" in line and "inner-val UAR" in line
    assert "macro" not in line and "val_" not in line
