"""The contract of a model plugin, checked on tiny random batches in seconds; no data is needed."""

import copy
import tempfile
from fnmatch import fnmatch
from functools import cached_property
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from auharness import registry
from auharness.api import Batch, ModelPlugin, Output
from auharness.api.model import INPUTS
from auharness.errors import UsageError
from auharness.records import Task
from auharness.settings import default_preset, resolve
from auharness.testing.check import Check, Step, expect, plugin_steps, run_stages
from auharness.testing.fake import FakeUnit, fake_batch, fake_task

__all__ = ["accepted_task", "check_model"]

SCORE_KINDS = ("logit", "probability", "margin")
KINDS = ("frame-multilabel", "clip-multilabel", "clip-multiclass")
BATCH_SIZE_TOLERANCE = 1e-5
"""Largest change of a logit, in float64, when the rows are evaluated one by one."""


def check_model(plugin: type[ModelPlugin]) -> list[Check]:
    """Return the outcome of every check of a model plugin, at its `tiny` preset if it has one.

    Args:
        plugin: the class that the hook returns.
    """
    case = _Case(plugin)
    declared: list[Step] = [
        *plugin_steps(plugin),
        ("inputs are known batch keys", case.inputs),
        ("score_kind is logit, probability or margin", case.score_kind),
    ]
    builds: list[list[Step]] = [
        [("build returns a module", case.builds)],
        [("logits are [B,A], finite", case.logits)],
        [("every variant gives logits", case.variants)],
        [("crossed presets and controls of the ablation exist", case.controls)],
    ]
    behaves: list[Step] = [
        ("the same seed gives the same weights", case.seed),
        ("each trainable parameter is in exactly one optimiser group", case.groups),
        ("loss terms are finite scalars, also where nothing is coded", case.losses),
        ("a label that is not coded gives no gradient", case.masked),
        ("every gradient is finite, or its parameter is declared unused", case.gradients),
        ("the batch size changes no logit", case.batch_size),
        ("the state holds tensors only", case.state),
        ("fit returns a predictor", case.fit),
    ]
    threads = torch.get_num_threads()
    torch.set_num_threads(1)  # as in a run on the CPU
    try:
        return run_stages(plugin, [declared, *builds, behaves])
    finally:
        torch.set_num_threads(threads)


class _Case:
    """A plugin at its smallest preset, with one module and one batch that the checks share."""

    def __init__(self, plugin: type[ModelPlugin]) -> None:
        self.plugin = plugin

    @cached_property
    def model(self) -> ModelPlugin:
        return self.resolved()

    @cached_property
    def task(self) -> Task:
        return accepted_task(self.model)

    @cached_property
    def module(self) -> nn.Module:
        return _build(self.model, self.task)

    @cached_property
    def batch(self) -> Batch:
        return fake_batch(self.model, self.task)

    def resolved(self, *variant: str) -> ModelPlugin:
        return resolve(self.plugin, presets=(default_preset(self.plugin, synthetic=True), *variant)).plugin

    def inputs(self) -> None:
        unknown = [name for name in self.plugin.inputs if name not in INPUTS]
        expect(not unknown and len(self.plugin.inputs) > 0, f"expected some of {INPUTS}, got {self.plugin.inputs}")

    def score_kind(self) -> None:
        kind = self.plugin.score_kind
        expect(kind in SCORE_KINDS, f"expected one of {', '.join(SCORE_KINDS)}, got '{kind}'")

    def builds(self) -> None:
        built = self.module
        expect(isinstance(built, nn.Module), f"expected an nn.Module, got {type(built).__name__}")

    def logits(self) -> None:
        logits = _output(self.model, self.module, self.batch).logits
        expect(isinstance(logits, Tensor), f"expected a tensor or Output, got {type(logits).__name__}")
        wanted = self.shape()
        expect(list(logits.shape) == wanted, f"expected shape {wanted}, got {list(logits.shape)}")
        expect(bool(logits.isfinite().all()), "expected finite values, got NaN or infinity")
        if self.plugin.score_kind == "probability":
            low, high = float(logits.min()), float(logits.max())
            expect(low >= 0 and high <= 1, f"expected probabilities in [0, 1], got {low:.3g} to {high:.3g}")

    def variants(self) -> None:
        for name in self.plugin.variants:
            model = self.resolved(name)
            task = accepted_task(model)
            logits = _output(model, _build(model, task), fake_batch(model, task)).logits
            expect(bool(logits.isfinite().all()), f"variant '{name}': expected finite logits, got NaN or infinity")

    def controls(self) -> None:
        plugin = self.plugin
        for name in plugin.crossed:
            expect(name in plugin.presets, f"crossed: expected one of the presets, got '{name}'")
            expect(name not in plugin.variants, f"crossed: '{name}' is a variant too")
        for name in plugin.controls:
            known = set(name.split(",")) <= set(plugin.presets) or name in registry.names("model")
            expect(known, f"controls: expected presets or the name of another model, got '{name}'")
            expect(
                name not in (*plugin.variants, plugin.name), f"controls: '{name}' is not one, but a row of the paper"
            )
        for name in plugin.uncrossed:
            expect(name in plugin.controls, f"uncrossed: expected one of the controls, got '{name}'")

    def seed(self) -> None:
        first, second = (_build(self.model, self.task) for _ in range(2))
        again = {**dict(second.named_parameters()), **dict(second.named_buffers())}
        for name, tensor in (*first.named_parameters(), *first.named_buffers()):
            expect(torch.equal(tensor, again[name]), f"'{name}' differs; draw from torch's global generator")

    def groups(self) -> None:
        held = [id(p) for group in self.model.parameter_groups(self.module) for p in group["params"]]
        for name, parameter in self.module.named_parameters():
            times = held.count(id(parameter))
            if parameter.requires_grad:
                expect(times == 1, f"'{name}' is in {times} groups, expected 1")

    def losses(self) -> None:
        for batch in (self.batch, self.not_coded()):
            for name, value in self.terms(batch).items():
                expect(value.ndim == 0, f"term '{name}': expected a scalar, got shape {list(value.shape)}")
                expect(bool(value.isfinite()), f"term '{name}': expected a finite value, got {value.item()}")

    def masked(self) -> None:
        output = _output(self.model, self.module, self.batch)
        logits = output.logits.detach().requires_grad_()
        terms = self.model.loss(Output(logits, output.aux), self.batch, self.task)
        total = sum(terms.values(), torch.zeros(()))
        if not total.requires_grad:
            return
        (gradient,) = torch.autograd.grad(total, logits, allow_unused=True)
        if gradient is None:
            return
        missing = self.batch["target"] < 0
        leaked = gradient[missing]  # of classes, whole rows
        largest = float(leaked.abs().max())
        expect(largest == 0, f"expected gradient 0 where the target is -1, got {largest:.3g}")

    def gradients(self) -> None:
        self.module.train()
        self.module.zero_grad()
        total = sum(self.terms(self.batch).values(), torch.zeros(()))
        trainable = [(name, p) for name, p in self.module.named_parameters() if p.requires_grad]
        if not trainable:
            return
        expect(total.requires_grad, "expected a loss that depends on the parameters, got a constant")
        total.backward()  # type: ignore[no-untyped-call]  # torch leaves it untyped
        for name, parameter in trainable:
            declared = any(fnmatch(name, pattern) for pattern in self.model.unused)
            if parameter.grad is None:
                expect(declared, f"'{name}' has no gradient; use it in the forward pass or name it in `unused`")
            else:
                expect(not declared, f"'{name}' has a gradient; expected none, as it is named in `unused`")
                expect(bool(parameter.grad.isfinite().all()), f"'{name}': expected a finite gradient, got NaN or inf")

    def batch_size(self) -> None:
        # in float64: a long scan magnifies the float32 rounding of a matrix product, which depends on the batch size
        module = copy.deepcopy(self.module).double().eval()
        batch = {name: _double(column) for name, column in self.batch.items()}
        with torch.inference_mode():
            together = _output(self.model, module, batch).logits
            rows = [{name: column[row : row + 1] for name, column in batch.items()} for row in range(len(together))]
            alone = torch.cat([_output(self.model, module, row).logits for row in rows])
        change = float((together - alone).abs().max())
        limit = BATCH_SIZE_TOLERANCE
        expect(change <= limit, f"expected a change of at most {limit}, got {change:.3g}; keep rows apart in eval mode")

    def state(self) -> None:
        for name, value in self.module.state_dict().items():
            expect(isinstance(value, Tensor), f"'{name}': expected a tensor, got {type(value).__name__}")

    def fit(self) -> None:
        if self.plugin.fit is ModelPlugin.fit:
            return  # the one training loop is tested on its own
        with tempfile.TemporaryDirectory() as folder:
            predictor = self.model.fit(FakeUnit(self.model, self.task, folder=Path(folder)))
            scores = predictor(self.batch)
        wanted = self.shape()
        expect(list(scores.shape) == wanted, f"expected scores {wanted}, got {list(scores.shape)}")
        expect(bool(scores.isfinite().all()), "expected finite scores, got NaN or infinity")
        for name, value in predictor.state().items():
            expect(isinstance(value, Tensor), f"state '{name}': expected a tensor, got {type(value).__name__}")

    def shape(self) -> list[int]:
        rows = len(self.batch["sample_id"])
        frames = [self.task.frames] if self.plugin.per_frame else []
        return [rows, *frames, self.task.num_outputs]

    def terms(self, batch: Batch) -> dict[str, Tensor]:
        return dict(self.model.loss(_output(self.model, self.module, batch), batch, self.task))

    def not_coded(self) -> Batch:
        return {**self.batch, "target": torch.full_like(self.batch["target"], -1)}


def accepted_task(model: ModelPlugin) -> Task:
    """Return the `fake_task` of the first kind that the plugin does not refuse.

    Raises:
        UsageError: if it refuses all kinds; the first refusal.
    """
    kinds: tuple[str, ...] = KINDS if "clip" not in model.inputs else KINDS[::-1]
    if model.per_frame:
        kinds = KINDS[:1]
    refusal: UsageError | None = None
    for kind in kinds:
        task = fake_task(model, kind)
        try:
            _build(model, task)
        except UsageError as error:
            refusal = refusal or error
        else:
            return task
    assert refusal is not None  # one of the kinds was refused
    raise refusal


def _build(model: ModelPlugin, task: Task) -> nn.Module:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return model.build(task)


def _double(column: Any) -> Any:
    return column.double() if isinstance(column, Tensor) and column.is_floating_point() else column


def _output(model: ModelPlugin, module: nn.Module, batch: Batch) -> Output:
    result = module(*(batch[name] for name in model.inputs))
    return result if isinstance(result, Output) else Output(result)
