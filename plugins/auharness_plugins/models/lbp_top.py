"""LBP-TOP and a support vector machine per AU: the classic of micro-expression analysis, nothing in it is a network.

Features: Zhao and Pietikainen, Dynamic Texture Recognition Using Local Binary Patterns, TPAMI 2007. Settings behind the
rows in Tables 1 and 2 of AU-LLM are not published. Ours, where the benchmark meb (https://github.com/tvaranka/meb) has
no say: ten frames over the whole clip, 8 x 8 blocks without overlap, histograms that sum to 1, a linear machine with
balanced classes, and its C chosen by leaving training subjects out.

Preset `meb` is that benchmark's: raw counts, blocks that share 0.7 of a width, nearest neighbours, a cubic machine with
C = 1 and no class weights. It differs from meb in:
- clips of more than ten frames are sampled over their whole length; there only the first ten frames are read.
- a pixel in four blocks counts in all four; there in two.
Both take ten frames as they were recorded, without temporal interpolation: no clip of either dataset is shorter.
"""

from collections.abc import Mapping
from typing import Any, ClassVar, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import Field, field_validator
from sklearn.model_selection import GroupKFold
from sklearn.svm import SVC
from torch import Tensor, nn

from auharness.api import Augment, ModelPlugin, Predictor, Preprocess, Recipe, Unit
from auharness.api.unit import Batch
from auharness.errors import UsageError
from auharness.features.lbp_top import BINS, PLANES, Radii, lbp_top
from auharness.hookspecs import hookimpl
from auharness.metrics.counts import binary_counts
from auharness.metrics.macro_f1_binary import macro_f1_binary
from auharness.records import Task

SURE = 1.0
"""Margin where the training rows hold one class only."""

Floats = NDArray[np.float64]
Labels = NDArray[np.int8]


class CubicMachine(nn.Module):
    """Features `[B,D]` to margins `[B,A]`: sum_n a_n (gamma <x, x_n>)^3 + b over the training rows n."""

    gamma: Tensor

    def __init__(self, size: int, rows: int, num_outputs: int) -> None:
        super().__init__()
        self.rows = nn.Linear(size, rows, bias=False)
        self.head = nn.Linear(rows, num_outputs)
        self.register_buffer("gamma", torch.ones(()))

    def forward(self, features: Tensor) -> Tensor:
        return self.head((self.gamma * self.rows(features)) ** 3)


class LBPTOPNet(nn.Module):
    """Clip `[B,T,1,S,S]` to margins `[B,A]`; `features` gives what the machine sees."""

    def __init__(self, settings: Mapping[str, Any], levels: tuple[float, float], machine: nn.Module) -> None:
        super().__init__()
        self.settings = settings
        self.mean, self.std = levels
        self.machine = machine.requires_grad_(False)
        for parameter in machine.parameters():
            nn.init.zeros_(parameter)

    def features(self, clip: Tensor) -> Tensor:
        # back to the grey levels of the file: equal pixels must stay equal
        grey = ((clip[:, :, 0] * self.std + self.mean) * 255).round()
        return lbp_top(grey, **self.settings)

    def forward(self, clip: Tensor) -> Tensor:
        return self.machine(self.features(clip))


class LBPTOPPredictor:
    """The predictor of a fitted machine."""

    def __init__(self, module: nn.Module) -> None:
        self.module = module.eval()

    def __call__(self, batch: Batch) -> Tensor:
        with torch.inference_mode():
            return self.module(batch["clip"]).float()

    def state(self) -> Mapping[str, Tensor]:
        return self.module.state_dict()


class LBPTOP(ModelPlugin):
    """One machine per AU; its C is chosen per AU inside the training fold."""

    name = "lbp-top"
    paper = "Zhao and Pietikainen, Dynamic Texture Recognition Using Local Binary Patterns, TPAMI 2007"
    inputs = ("clip",)
    score_kind = "margin"
    presets: ClassVar[Mapping[str, Mapping[str, Any]]] = {
        "paper": {},
        "tiny": {"blocks": (5, 5), "preprocess": {"resize": 64, "crop": 64}},
        "meb": {
            "overlap": 0.7,
            "interpolate": False,
            "normalise": False,
            "kernel": "cubic",
            "balanced": False,
            "costs": (1.0,),
        },
    }

    radii: Radii = Field((3, 3, 3), description="of the patterns along x, y (pixels) and t (frames)")
    blocks: tuple[int, int] = Field((8, 8), description="rows and columns of histograms")
    overlap: float = Field(0.0, ge=0, lt=1, description="share of a block's width that its neighbour has too")
    interpolate: bool = Field(True, description="neighbours between pixels are interpolated, or the nearest is taken")
    normalise: bool = Field(True, description="histograms sum to 1, or are counts")
    kernel: Literal["linear", "cubic"] = Field("linear", description="cubic: (gamma <x,y>)^3, gamma = 1 / (D var x)")
    balanced: bool = Field(True, description="weigh the classes by their inverse frequency")
    costs: tuple[float, ...] = Field(
        (0.01, 0.1, 1.0, 10.0, 100.0), min_length=1, description="C is one of these; a single one is not searched"
    )
    inner_folds: int = Field(5, ge=2, description="parts of training subjects that choose C")

    preprocess: Preprocess = Preprocess(
        align="none",
        landmarks="mean-shape",
        resize=112,
        crop=112,
        channels=1,
        frames=10,
        mean=(0.0, 0.0, 0.0),
        std=(1.0, 1.0, 1.0),
    )
    augment: Augment = Augment(flip=0, random_crop=False, brightness=0, contrast=0, saturation=0)
    recipe: Recipe = Recipe(eval_batch_size=16)

    @field_validator("costs")
    @classmethod
    def _ascending(cls, costs: tuple[float, ...]) -> tuple[float, ...]:
        if min(costs) <= 0 or list(costs) != sorted(set(costs)):
            raise ValueError(f"costs are {costs}, expected positive numbers in ascending order")
        return costs

    def build(self, task: Task) -> nn.Module:
        return self._net(task, rows=max(task.coded))

    def fit(self, unit: Unit) -> Predictor:
        net = self._net(unit.task, rows=len(unit.train_data)).to(unit.device)
        features, groups = self._features(net, unit)
        targets = unit.train_data.targets.cpu().numpy().astype(np.int8)
        gram = features @ features.T
        # scikit-learn's gamma="scale"; constant features leave it undefined, and any value does
        gamma = 1.0 / (features.shape[1] * float(features.var()) or 1.0)
        if self.kernel == "cubic":
            gram = (gamma * gram) ** 3
        machines = [
            self._machine(unit, gram, name, target, groups)
            for name, target in zip(unit.task.outputs, targets.T, strict=True)
        ]
        weights, bias = np.stack([duals for duals, _ in machines]), np.array([bias for _, bias in machines])
        state: dict[str, Any] = {"head.weight": weights, "head.bias": bias, "rows.weight": features, "gamma": gamma}
        if self.kernel == "linear":
            state = {"weight": weights @ features, "bias": bias}
        net.machine.load_state_dict({name: torch.as_tensor(value).float() for name, value in state.items()})
        return LBPTOPPredictor(net)

    def _net(self, task: Task, *, rows: int) -> LBPTOPNet:
        if task.kind == "clip-multiclass" or self.preprocess.channels != 1:
            raise UsageError(
                f"lbp-top detects action units in grey clips; expected preprocess.channels=1 and outputs such as AU12, "
                f"got {self.preprocess.channels} and {task.outputs[0]}"
            )
        least = 2 * self.radii[2] + 1, 2 * max(self.radii[:2]) + max(self.blocks)
        if task.frames < least[0] or task.image_size < least[1]:
            raise UsageError(
                f"lbp-top: these radii and blocks need {least[0]} frames of {least[1]} px, got {task.frames} of "
                f"{task.image_size} px; set preprocess.frames and preprocess.crop"
            )
        size = self.blocks[0] * self.blocks[1] * len(PLANES) * BINS
        linear = self.kernel == "linear"
        machine = nn.Linear(size, task.num_outputs) if linear else CubicMachine(size, rows, task.num_outputs)
        settings = self.model_dump(include={"radii", "blocks", "overlap", "interpolate", "normalise"})
        return LBPTOPNet(settings, (self.preprocess.mean[0], self.preprocess.std[0]), machine)

    def _features(self, net: LBPTOPNet, unit: Unit) -> tuple[Floats, list[str]]:
        """Features `[N,D]` of the training rows, and whose they are: (dataset, subject)."""
        features, groups = [], []
        for batch in unit.train_data.batches(self.recipe.eval_batch_size, device=unit.device):
            with torch.inference_mode():
                features.append(net.features(batch["clip"]).double().cpu().numpy())
            datasets = [sample.partition("/")[0] for sample in batch["sample_id"]]
            groups += [f"{dataset}/{subject}" for dataset, subject in zip(datasets, batch["subject"], strict=True)]
        return np.concatenate(features), groups

    def _machine(self, unit: Unit, gram: Floats, name: str, target: Labels, groups: list[str]) -> tuple[Floats, float]:
        """Fit one AU: weights `[N]` of all training rows, 0 where not coded, and the bias."""
        coded = np.flatnonzero(target >= 0)
        part, labels = gram[np.ix_(coded, coded)], target[coded]
        cost = self._cost(part, labels, [groups[row] for row in coded])
        unit.log("svm", output=name, C=cost, rows=len(coded), positives=int(labels.sum()))
        weights = np.zeros(len(target))
        weights[coded], bias = self._solve(part, labels, cost)
        return weights, bias

    def _cost(self, gram: Floats, labels: Labels, groups: list[str]) -> float:
        """The C with the best macro-F1 over {0,1}, pooled over training subjects left out; the smallest of equals."""
        parts = min(self.inner_folds, len(set(groups)))
        if len(self.costs) == 1 or parts < 2:
            return self.costs[len(self.costs) // 2]
        folds = list(GroupKFold(parts).split(gram, labels, groups))
        scores = []
        for cost in self.costs:
            margins = np.zeros(len(labels))
            for train, held_out in folds:
                weights, bias = self._solve(gram[np.ix_(train, train)], labels[train], cost)
                margins[held_out] = gram[np.ix_(held_out, train)] @ weights + bias
            counts = binary_counts(labels[:, None], margins[:, None] >= 0)
            scores.append(float(macro_f1_binary(counts)[0]))
        return self.costs[int(np.argmax(scores))]

    def _solve(self, gram: Floats, labels: Labels, cost: float) -> tuple[Floats, float]:
        """Signed dual weights `[N]` and bias; a constant margin where there is one class, or none."""
        weights = np.zeros(len(labels))
        if len(np.unique(labels)) < 2:
            return weights, SURE if len(labels) and labels[0] == 1 else -SURE
        svm = SVC(C=cost, kernel="precomputed", class_weight="balanced" if self.balanced else None)
        svm.fit(gram, labels)
        weights[svm.support_] = svm.dual_coef_[0]
        return weights, float(svm.intercept_[0])


@hookimpl
def auharness_model() -> type[ModelPlugin]:
    return LBPTOP
