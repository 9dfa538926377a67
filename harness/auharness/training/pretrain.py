"""Supervised pre-training of an encoder on class-labelled images (`auharness pretrain`).

The recipe follows DeiT (Touvron et al., ICML 2021, table 9) without RandAugment, erasing and stochastic depth: AdamW,
rate 5e-4 x batch / 512, weight decay 0.05, cosine over 300 epochs, 5 of warm-up, label smoothing 0.1, mixup 0.8,
cutmix 1.0. An epoch is a function of the seed, so a killed pre-training goes on at the last finished epoch.
"""

import json
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any, Literal, Protocol, runtime_checkable

import torch
from lightning_fabric import Fabric
from pydantic import Field
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor, nn
from torch.nn import functional as F

from auharness.api import ModelPlugin, Recipe, Settings
from auharness.errors import UsageError
from auharness.nn.encoder import Encoder
from auharness.results.atomic import digest, write_with
from auharness.training.checkpoint import load_state, save_state
from auharness.training.image_folder import ImageFolder, crop_batches, scan_folder
from auharness.training.optim import lr_factor, set_lr
from auharness.training.seed import derive_seed, generator, seed_all

__all__ = ["Pretrainable", "Pretraining", "mixed", "pretrain"]

PREFIX = "encoder."
"""Name of the encoder in the module that the plugin builds for a task."""


@runtime_checkable
class Pretrainable(Protocol):
    """A model plugin that can be pre-trained: its module for a task holds this encoder as `encoder`."""

    def encoder(self, image_size: int) -> Encoder:
        """Return a fresh encoder, `[B,3,S,S] -> [B,J+1,dim]` with the class token last."""
        ...


class Pretraining(Settings):
    """Settings of a pre-training."""

    epochs: int = Field(300, ge=1)
    warmup_epochs: int = Field(5, ge=0, description="linear rise of the rate; at most half of the epochs")
    batch_size: int = Field(1024, ge=2)
    lr: float = Field(5e-4, gt=0, description="peak learning rate for a batch of 512; scaled by batch / 512")
    weight_decay: float = Field(0.05, ge=0)
    label_smoothing: float = Field(0.1, ge=0, lt=1)
    mixup: float = Field(0.8, ge=0, description="Beta parameter of mixup; 0 is off")
    cutmix: float = Field(1.0, ge=0, description="Beta parameter of cutmix; 0 is off")
    crop_scale: float = Field(0.08, gt=0, le=1, description="smallest share of the image's area in a crop")
    jitter: float = Field(0.4, ge=0, le=1, description="brightness, contrast, saturation from 1 +- this")
    precision: Literal["32-true", "16-mixed", "bf16-mixed"] = "32-true"
    seed: int = 0


def pretrain(
    plugin: ModelPlugin,
    data: Path,
    *,
    out: Path,
    settings: Pretraining,
    name: str = "",
    device: str = "auto",
    workers: int = 0,
    log: Callable[..., None] = lambda event, **values: None,
) -> Path:
    """Train the plugin's encoder to tell the classes of a folder apart and write its weights.

    The class head is thrown away. While it runs, `OUT.state` beside the result keeps the last finished epoch.

    Args:
        plugin: a model with an `encoder` method; its crop size, mean and deviation are used.
        data: folder with one folder of images per class.
        out: `.safetensors` file; a finished one of the same settings is left as it is.
        settings: the recipe.
        name: what the data is called in records; default the folder's name.
        device: `auto`, `cpu` or `cuda`.
        workers: processes that read images.
        log: called with an event name and values: `resumed`, `epoch`, `finished`.

    Returns:
        `out`; metadata `pretrained_on`, `model`, `settings`.

    Raises:
        UsageError: if the model has no encoder, or `out` or its state belongs to another pre-training.
        DataError: if the folder has too few classes or an image cannot be decoded.
    """
    if not isinstance(plugin, Pretrainable):
        raise UsageError(f"'{plugin.name}' cannot be pre-trained: it has no encoder (models that can: au-ttt, vit-s16)")
    folder = scan_folder(data)
    identity = _identity(plugin, folder, settings)
    if out.exists():
        _refuse_other(out, identity)
        log("finished", path=str(out), already=True)
        return out
    seed_all(settings.seed, "pretrain")
    trainer = _Trainer(plugin, plugin.encoder(plugin.preprocess.crop), folder, settings=settings, device=device)
    state_path = out.with_name(f"{out.name}.state")
    if state_path.is_file():
        trainer.restore(load_state(state_path), identity, state_path)
        log("resumed", epoch=trainer.epoch)
    while trainer.epoch < settings.epochs:
        loss = trainer.run_epoch(workers)
        log("epoch", epoch=trainer.epoch, epochs=settings.epochs, loss=loss)
        save_state(state_path, trainer.state() | {"identity": identity})
    metadata = {
        "pretrained_on": folder.describe(name),
        "model": plugin.name,
        "settings": plugin.model_dump_json(),
        "pretraining": settings.model_dump_json(),
        "identity": identity,
    }
    weights = {f"{PREFIX}{key}": value.cpu().contiguous() for key, value in trainer.encoder.state_dict().items()}
    write_with(out, lambda temporary: save_file(weights, temporary, metadata=metadata))
    state_path.unlink(missing_ok=True)
    log("finished", path=str(out), already=False)
    return out


class _Trainer:
    """Encoder, class head and optimiser, and one epoch of their training."""

    def __init__(
        self, plugin: ModelPlugin, encoder: Encoder, folder: ImageFolder, *, settings: Pretraining, device: str
    ) -> None:
        self.plugin, self.folder, self.settings, self.epoch = plugin, folder, settings, 0
        self.encoder = encoder
        self.fabric = Fabric(accelerator=device, devices=1, precision=settings.precision)
        module = nn.ModuleDict({"encoder": encoder, "head": nn.Linear(encoder.dim, len(folder.classes))})
        self.batch_size = min(settings.batch_size, len(folder.files))
        self.peak = settings.lr * self.batch_size / 512
        groups = [{**group, "lr_scale": 1.0} for group in plugin.parameter_groups(module)]
        optimiser = torch.optim.AdamW(groups, self.peak, weight_decay=settings.weight_decay)
        self.module, self.optimiser = self.fabric.setup(_Classifier(module), optimiser)
        self.steps = -(-len(folder.files) // self.batch_size)
        warm = min(settings.warmup_epochs, settings.epochs // 2) / settings.epochs
        self.rate = partial(lr_factor, total=self.steps * settings.epochs, recipe=Recipe(warmup=warm))

    def run_epoch(self, workers: int) -> float:
        """Train for one epoch and return the mean loss."""
        settings, total, seen = self.settings, 0.0, 0
        seed = derive_seed(settings.seed, "pretrain", self.epoch)
        chance = generator(seed, "mix")
        mean, std = (
            torch.tensor(v).view(1, 3, 1, 1) for v in (self.plugin.preprocess.mean, self.plugin.preprocess.std)
        )
        batches = crop_batches(
            self.folder,
            size=self.plugin.preprocess.crop,
            scale=settings.crop_scale,
            jitter=settings.jitter,
            batch_size=self.batch_size,
            seed=seed,
            workers=workers,
        )
        for step, (images, labels) in enumerate(batches, start=self.epoch * self.steps):
            targets = F.one_hot(labels, len(self.folder.classes)).float()
            images, targets = mixed(
                (images - mean) / std, targets, mixup=settings.mixup, cutmix=settings.cutmix, generator=chance
            )
            set_lr(self.optimiser, self.peak * self.rate(step))
            logits = self.module(images.to(self.fabric.device))
            targets = targets.to(self.fabric.device)
            loss = F.cross_entropy(logits.float(), targets, label_smoothing=settings.label_smoothing)
            self.optimiser.zero_grad(set_to_none=True)
            self.fabric.backward(loss)
            self.optimiser.step()
            total, seen = total + float(loss.detach()) * len(labels), seen + len(labels)
        self.epoch += 1
        return total / max(seen, 1)

    def state(self) -> dict[str, Any]:
        """All that the next epoch depends on."""
        return {
            "epoch": self.epoch,
            "module": dict(self.module.state_dict()),
            "optimiser": self.optimiser.state_dict(),
            "precision": self.fabric.strategy.precision.state_dict(),
        }

    def restore(self, state: Mapping[str, Any], identity: str, path: Path) -> None:
        """Go on from what `state` returned."""
        if state["identity"] != identity:
            raise UsageError(f"{path}: left by a pre-training with other settings or data; delete it or change --out")
        self.module.load_state_dict(state["module"])
        self.optimiser.load_state_dict(state["optimiser"])
        self.fabric.strategy.precision.load_state_dict(state["precision"])
        self.epoch = state["epoch"]


class _Classifier(nn.Module):
    """Image to class logits `[B,C]` of the class token."""

    def __init__(self, parts: nn.ModuleDict) -> None:
        super().__init__()
        self.parts = parts

    def forward(self, image: Tensor) -> Tensor:
        return self.parts["head"](self.parts["encoder"](image)[:, -1])


def mixed(
    images: Tensor, targets: Tensor, *, mixup: float, cutmix: float, generator: torch.Generator
) -> tuple[Tensor, Tensor]:
    """Mix each image with its mirror in the batch, by mixup or cutmix with equal chance, and the targets alike.

    Args:
        images: `[B,3,S,S]`.
        targets: `[B,C]`, rows sum to 1.
        mixup: parameter of the Beta distribution of the share; 0 is off.
        cutmix: the same for the area that stays.
        generator: source of chance.
    """
    methods = [name for name, strength in (("mixup", mixup), ("cutmix", cutmix)) if strength]
    if not methods:
        return images, targets
    method = methods[int(torch.randint(len(methods), (1,), generator=generator))]
    share = _beta(mixup if method == "mixup" else cutmix, generator)
    if method == "mixup":
        images = torch.lerp(images.flip(0), images, share)
    else:
        side = images.shape[-1]
        cut = round(side * (1 - share) ** 0.5)
        y, x = (int(v) for v in torch.randint(0, side - cut + 1, (2,), generator=generator))
        images = images.clone()
        images[:, :, y : y + cut, x : x + cut] = images.flip(0)[:, :, y : y + cut, x : x + cut]
        share = 1 - (cut / side) ** 2
    return images, torch.lerp(targets.flip(0), targets, share)


def _beta(strength: float, generator: torch.Generator) -> float:
    pair = torch._standard_gamma(torch.full((2,), strength), generator=generator)
    return float(pair[0] / pair.sum().clamp(min=1e-12))


def _identity(plugin: ModelPlugin, folder: ImageFolder, settings: Pretraining) -> str:
    chosen = json.loads(plugin.model_dump_json()), json.loads(settings.model_dump_json())
    return digest([plugin.name, *chosen, folder.digest])


def _refuse_other(out: Path, identity: str) -> None:
    try:
        with safe_open(out, framework="pt") as file:
            found = (file.metadata() or {}).get("identity")
    except (SafetensorError, OSError):
        raise UsageError(f"{out}: exists and is no safetensors file; delete it or give another --out") from None
    if found != identity:
        raise UsageError(f"{out}: holds weights of other settings or data; delete it or give another --out")
