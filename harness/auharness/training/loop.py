"""The one training loop: every trained model goes through it unless its plugin overrides `fit`.

A step is a function of the seed, the epoch and the batch number, so training can stop at any checkpoint and go on
bit for bit the same.
"""

import copy
import math
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch
from lightning_fabric import Fabric
from torch import Tensor, nn

from auharness.api import Batch, ModelPlugin, Output
from auharness.errors import AuharnessError, IntegrityError
from auharness.records import Task
from auharness.training.checkpoint import load_state, save_state
from auharness.training.optim import WeightAverage, build_optimiser, lr_factor, momentum_at, set_lr, set_momentum
from auharness.training.predictor import ModulePredictor, as_output, call, is_out_of_memory, spare_memory
from auharness.training.ranks import add_gradients, gathered, rows_of
from auharness.training.seed import derive_seed, rng_state, seed_all, set_rng_state
from auharness.training.selection import RunningMeans, RunningScore
from auharness.training.source import CropSource

__all__ = ["Loop", "NotFiniteError"]

CHECKPOINT = "checkpoint.safetensors"


class NotFiniteError(AuharnessError):
    """The loss became NaN or infinite; the unit fails and the others go on."""

    exit_code = 4


class Loop:
    """Training of one unit: state, one step, one epoch, selection."""

    def __init__(
        self,
        plugin: ModelPlugin,
        task: Task,
        *,
        fabric: Fabric,
        seed: int,
        folder: Path,
        weights: Mapping[str, Tensor] | None = None,
        log: Callable[..., None],
        owner: str = "",
    ) -> None:
        self.plugin, self.task, self.recipe = plugin, task, plugin.recipe
        self.fabric, self.seed, self.folder, self.log = fabric, seed, folder, log
        self.owner = owner
        seed_all(seed, "build")
        module = plugin.build(task)
        if weights is not None:
            missing = plugin.load_weights(module, weights)
            log("weights", loaded=len(module.state_dict()) - len(missing), missing=list(missing))
        self.module, self.optimiser = self._set_up(module)
        self.ema = WeightAverage(self.recipe.ema) if self.recipe.ema else None
        self.swa = WeightAverage(None, only=self.recipe.swa_modules) if self.recipe.swa_epochs else None
        self.epoch, self.batch, self.step = 0, 0, 0
        self.best: dict[str, Any] = {"score": -math.inf, "epoch": None, "weights": None}
        self.micro_batch = self.recipe.batch_size
        self._saved_at = time.monotonic()

    @property
    def path(self) -> Path:
        """The checkpoint of this unit."""
        return self.folder / CHECKPOINT

    def run(
        self,
        train: CropSource,
        validation: CropSource | None,
        *,
        checkpoint_s: float = 30.0,
        observe: Callable[[int, ModulePredictor], None] | None = None,
    ) -> ModulePredictor:
        """Train to the end (from the checkpoint, if one is there) and return the selected model.

        Args:
            train: rows that train.
            validation: held-out training rows, for the selection `inner-val`.
            checkpoint_s: least seconds between two checkpoints; 0 saves after every step.
            observe: called with the epoch (1-based) and the model after each epoch.

        Raises:
            NotFiniteError: if the loss is NaN or infinite.
            IntegrityError: if the checkpoint is damaged, or of another unit.
        """
        if self.path.is_file():
            self._resume()
            self.log("resumed", epoch=self.epoch, batch=self.batch)
        steps = math.ceil(len(train) / self.recipe.batch_size) * self.recipe.epochs
        total = min(steps, self.recipe.max_steps or steps)
        while self.epoch < self.recipe.epochs and self.step < total and not self._out_of_patience():
            started = time.monotonic()
            values = self._epoch(train, total=total, checkpoint_s=checkpoint_s)
            self.epoch, self.batch = self.epoch + 1, 0
            if self.swa is not None and self.epoch > self.recipe.epochs - self.recipe.swa_epochs:
                self.swa.update(self.module.module)
            if validation is not None:
                values |= self._select(validation)
            if observe is not None:
                observe(self.epoch, self.predictor())
            seconds = time.monotonic() - started
            self.log("epoch", epoch=self.epoch, epochs=self.recipe.epochs, s=seconds, metric=self.metric, **values)
            self._save_if_due(checkpoint_s)
        return self._selected()

    @property
    def metric(self) -> str:
        """What the scores of the log are, e.g. `F1`."""
        return RunningScore(self.task, self.plugin.score_kind).metric.title

    def predictor(self) -> ModulePredictor:
        """The model as it stands: the weight average where one is kept."""
        average = self.swa if self.swa is not None and self.swa.updates else self.ema
        weights = average.weights if average is not None and average.updates else self.module.state_dict()
        return self._with_weights(weights)

    def state(self) -> dict[str, Any]:
        """All that the next step depends on."""
        return {
            "owner": self.owner,
            "module": dict(self.module.state_dict()),
            "optimiser": self.optimiser.state_dict(),
            "precision": self.fabric.strategy.precision.state_dict(),
            "place": (self.epoch, self.batch, self.step, self.micro_batch),
            "ema": self.ema.state() if self.ema else None,
            "swa": self.swa.state() if self.swa else None,
            "best": self.best,
            "rng": rng_state(),
            "rng_cuda": torch.cuda.get_rng_state(self.fabric.device) if self.fabric.device.type == "cuda" else None,
        }

    def restore(self, state: Mapping[str, Any]) -> None:
        """Go on from what `state` returned."""
        self.module.load_state_dict(state["module"])
        self.optimiser.load_state_dict(state["optimiser"])
        self.fabric.strategy.precision.load_state_dict(state["precision"])
        self.epoch, self.batch, self.step, self.micro_batch = state["place"]
        for average, kept in ((self.ema, state["ema"]), (self.swa, state["swa"])):
            if average is not None:
                average.restore(kept, self.fabric.device)
        self.best = dict(state["best"])
        set_rng_state(state["rng"])
        if state["rng_cuda"] is not None:
            torch.cuda.set_rng_state(state["rng_cuda"], self.fabric.device)

    def _resume(self) -> None:
        state = load_state(self.path)
        remedy = "delete it to train this unit anew"
        left_by = state.get("owner") if isinstance(state, dict) else None
        if left_by != self.owner:
            raise IntegrityError(f"{self.path}: a checkpoint of {left_by}, expected one of {self.owner}; {remedy}")
        try:
            self.restore(state)
        except (KeyError, TypeError, ValueError, AttributeError, RuntimeError) as error:
            if is_out_of_memory(error):
                raise
            said = " ".join(str(error).split())
            raise IntegrityError(f"{self.path}: a checkpoint of another network ({said:.200}); {remedy}") from error

    def _epoch(self, train: CropSource, *, total: int, checkpoint_s: float) -> dict[str, float]:
        """Train on all batches that are left of an epoch and return what the log shows of it."""
        self.module.train()
        running, means, seen = RunningScore(self.task, self.plugin.score_kind), RunningMeans(), 0
        seed = derive_seed(self.seed, "epoch", self.epoch)
        for batch in train.batches_from(self.recipe.batch_size, seed=seed, start=self.batch, device=self.fabric.device):
            if self.step >= total:
                break
            factor = lr_factor(self.step, total, self.recipe, epoch=self.epoch)
            set_lr(self.optimiser, self.recipe.lr * factor)
            if (momentum := momentum_at(self.step, total, self.recipe)) is not None:
                set_momentum(self.optimiser, momentum)
            if self.fabric.world_size > 1:
                # no process draws what another one does, and what it draws follows from the step alone
                seed_all(self.seed, "rank", self.fabric.global_rank, self.step)
            terms, logits = self._step(batch)
            running.add(logits, batch["target"])
            means.add(terms, len(logits))
            seen += len(logits)
            self.batch, self.step = self.batch + 1, self.step + 1
            if checkpoint_s == 0 or self.batch % 20 == 0:
                self._save_if_due(checkpoint_s)
        values = means.values(seen) | {"train_score": running.value}
        return values | {f"train_{name}": value for name, value in running.curves.items()}

    def _step(self, batch: Batch) -> tuple[dict[str, Tensor], Tensor]:
        """One update; the batch is cut into ever smaller micro-batches when memory runs out."""
        several = self.fabric.world_size > 1
        while True:
            rng = torch.get_rng_state()
            try:
                with self.fabric.no_backward_sync(self.module, enabled=several):
                    result = self._forward_backward(batch)
                break
            except (RuntimeError, MemoryError) as error:
                # the other processes know nothing of it and wait
                if not is_out_of_memory(error) or self.micro_batch == 1 or several:
                    raise
                self.micro_batch = math.ceil(self.micro_batch / 2)
                self.log("out_of_memory", micro_batch=self.micro_batch, batch_size=self.recipe.batch_size)
                torch.set_rng_state(rng)
        if several:
            add_gradients(self.module.module, self.fabric)
        if self.recipe.grad_clip:
            clip = self.fabric.clip_gradients
            clip(self.module, self.optimiser, max_norm=self.recipe.grad_clip, error_if_nonfinite=False)
        self.optimiser.step()
        if self.ema is not None:
            self.ema.update(self.module.module)
        return result

    def _forward_backward(self, batch: Batch) -> tuple[dict[str, Tensor], Tensor]:
        """Gradients of one batch: the mean over its micro-batches, weighted by their size."""
        self.optimiser.zero_grad(set_to_none=True)
        count = len(batch["target"])
        sums: dict[str, Tensor] = {}
        logits = []
        for start in range(0, count, self.micro_batch):
            part = {name: value[start : start + self.micro_batch] for name, value in batch.items()}
            share = len(part["target"]) / count
            output = self._output(part)
            terms = self.plugin.loss(output, part, self.task)
            total = torch.stack([term.float() for term in terms.values()]).sum()
            if not torch.isfinite(total):
                self._refuse(terms)
            self.fabric.backward(total * share)
            logits.append(output.logits.detach())
            with torch.no_grad():
                shown = self.plugin.monitor(output, part, self.task) | terms
            for name, term in shown.items():
                part_of_mean = term.detach() * share
                sums[name] = sums[name] + part_of_mean if name in sums else part_of_mean
        return sums, torch.cat(logits)

    def _output(self, batch: Batch) -> Output:
        """What the network puts out for a batch, of which each of several processes computes its share."""
        if self.fabric.world_size == 1:
            return as_output(call(self.module, batch, self.plugin.inputs))
        rows = len(batch["target"])
        own = rows_of(rows, self.fabric.global_rank, self.fabric.world_size)
        start = min(own.start, rows - 1)  # an empty share computes a row that does not count
        part = {name: batch[name][start : max(own.stop, start + 1)] for name in self.plugin.inputs}
        return gathered(as_output(call(self.module, part, self.plugin.inputs)), rows, self.fabric)

    def _refuse(self, terms: Mapping[str, Tensor]) -> None:
        values = ", ".join(f"{name} {float(term.detach()):g}" for name, term in terms.items())
        raise NotFiniteError(
            f"{self.plugin.name}: the loss is not finite in epoch {self.epoch + 1}, step {self.step + 1} ({values}); "
            "try a lower --set recipe.lr=... or --set recipe.grad_clip=1"
        )

    def _select(self, validation: CropSource) -> dict[str, float]:
        """Score the held-out training rows, keep the weights when they are the best so far, and return the scores."""
        predictor = self.predictor()
        size = self.recipe.eval_batch_size
        while True:
            try:
                scores, means = self._evaluate(predictor, validation, size)
                break
            except (RuntimeError, MemoryError) as error:
                size = spare_memory(error, predictor, size)
                self.log("out_of_memory", eval_batch_size=size)
        running = RunningScore(self.task, self.plugin.score_kind)
        running.add(validation.gather(scores), validation.targets)
        score = running.value
        if score > self.best["score"]:
            weights = {name: value.detach().clone() for name, value in predictor.module.state_dict().items()}
            self.best = {"score": score, "epoch": self.epoch, "weights": weights}
        return {"inner_val": score} | {f"val_{name}": value for name, value in (means | running.curves).items()}

    def _evaluate(
        self, predictor: ModulePredictor, validation: CropSource, size: int
    ) -> tuple[Tensor, dict[str, float]]:
        """Return the logits of all rows, on the CPU, and the means of what the plugin monitors."""
        means, answers = RunningMeans(), list[Tensor]()
        for batch in validation.batches(size, device=self.fabric.device):
            logits = predictor(batch)
            answers.append(logits.cpu())
            means.add(self.plugin.monitor(Output(logits), batch, self.task), len(logits))
        scores = torch.cat(answers)
        return scores, means.values(len(scores))

    def _selected(self) -> ModulePredictor:
        if self.best["weights"] is None:
            chosen, predictor = self.epoch, self.predictor()
        else:
            chosen, predictor = self.best["epoch"], self._with_weights(self.best["weights"])
        predictor.chosen_epoch, predictor.epochs = chosen, self.epoch
        return predictor

    def _out_of_patience(self) -> bool:
        if not self.recipe.patience:
            return False
        best = self.best["epoch"]
        # of several processes the first one alone validates
        return bool(self.fabric.broadcast(best is not None and self.epoch - best >= self.recipe.patience))

    def _with_weights(self, weights: Mapping[str, Tensor]) -> ModulePredictor:
        """A copy of the module with other weights; training goes on undisturbed."""
        module = copy.deepcopy(self.module.module)
        module.load_state_dict(dict(weights))
        return ModulePredictor(module, self.plugin, self.fabric)

    def _set_up(self, module: nn.Module) -> tuple[Any, Any]:
        return self.fabric.setup(module, build_optimiser(self.plugin, module))

    def _save_if_due(self, checkpoint_s: float) -> None:
        if self.fabric.is_global_zero and time.monotonic() - self._saved_at >= checkpoint_s:
            save_state(self.path, self.state())
            self._saved_at = time.monotonic()
