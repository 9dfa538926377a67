"""Pre-trained encoders of pictures and sound: where their weights come from, loaded once per process."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from importlib import import_module
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final

import torch
from torch import nn

from auharness.errors import DataError, UsageError, near
from auharness.nn.hub import fetch_folder, find_folder, lost_file
from auharness.nn.language_model import PREFIX, RANDOM_SEED, checksum, quiet, require_hf

__all__ = [
    "FOUNDATIONS",
    "Foundation",
    "LoadedFoundation",
    "check_foundation",
    "fetch_foundation",
    "load_foundation",
    "missing_foundation",
]

_CURE = (
    "fetch it on a machine with a network and give its folder, e.g. --set vision=hf:FOLDER, or take random weights "
    "with --set init=none"
)

# module, config and model in transformers
_CLASSES: Final[Mapping[str, tuple[str, str]]] = MappingProxyType(
    {
        "dinov2": ("Dinov2Config", "Dinov2Model"),
        "vit": ("ViTConfig", "ViTModel"),
        "wavlm": ("WavLMConfig", "WavLMModel"),
        "whisper": ("WhisperConfig", "WhisperEncoder"),
    }
)
# an adapted encoder has no dropout of its own, and its features do not depend on a draw
_STILL: Final[Mapping[str, Mapping[str, Any]]] = MappingProxyType(
    {
        "dinov2": {"hidden_dropout_prob": 0.0, "attention_probs_dropout_prob": 0.0, "drop_path_rate": 0.0},
        "vit": {"hidden_dropout_prob": 0.0, "attention_probs_dropout_prob": 0.0},
        "wavlm": {"apply_spec_augment": False, "layerdrop": 0.0, "attention_dropout": 0.0},
        "whisper": {"dropout": 0.0, "attention_dropout": 0.0, "encoder_layerdrop": 0.0},
    }
)


@dataclass(frozen=True, slots=True)
class Foundation:
    """An encoder: its name on the hub, its kind, and what its config says."""

    kind: str
    """`dinov2`, `vit`, `wavlm` or `whisper`."""
    hub: str
    """Empty for an encoder that exists only with random weights."""
    options: Mapping[str, Any] = field(default_factory=dict)
    """Where its config departs from the kind's defaults."""

    def config(self) -> Any:
        """Return the transformers config."""
        module = import_module(f"transformers.models.{self.kind}.configuration_{self.kind}")
        return getattr(module, _CLASSES[self.kind][0])(**{**self.options, **_STILL[self.kind]})


def _vit(hub: str, width: int, layers: int, patch: int, side: int, kind: str = "dinov2") -> Foundation:
    """Heads of 64 channels, an MLP four times as wide."""
    sizes = {"hidden_size": width, "num_hidden_layers": layers, "num_attention_heads": max(2, width // 64)}
    mlp = {"mlp_ratio": 4} if kind == "dinov2" else {"intermediate_size": 4 * width}
    return Foundation(kind, hub, {**sizes, **mlp, "patch_size": patch, "image_size": side})


def _wavlm(hub: str, width: int, layers: int, **options: int | tuple[int, ...]) -> Foundation:
    """The large size's layout: normalised input, layer norms in the feature encoder and before each block."""
    sizes = {"hidden_size": width, "num_hidden_layers": layers, "num_attention_heads": max(2, width // 64)}
    layout = {"intermediate_size": 4 * width, "do_stable_layer_norm": True, "feat_extract_norm": "layer"}
    return Foundation("wavlm", hub, {**sizes, **layout, **options})


FOUNDATIONS: Final[Mapping[str, Foundation]] = MappingProxyType(
    {
        "dinov2-vitl14": _vit("facebook/dinov2-large", 1024, 24, patch=14, side=518),
        "dinov2-vitb14": _vit("facebook/dinov2-base", 768, 12, patch=14, side=518),
        "vit-b16": _vit("google/vit-base-patch16-224-in21k", 768, 12, patch=16, side=224, kind="vit"),
        "dinov2-random": _vit("", 32, 2, patch=14, side=56),
        "wavlm-large": _wavlm("microsoft/wavlm-large", 1024, 24),
        "wavlm-random": _wavlm(
            "", 32, 2, conv_dim=(8,) * 7, num_conv_pos_embeddings=16, num_conv_pos_embedding_groups=2
        ),
        "whisper-base": Foundation(
            "whisper",
            "openai/whisper-base",
            {"d_model": 512, "encoder_layers": 6, "encoder_attention_heads": 8, "encoder_ffn_dim": 2048},
        ),
        "whisper-random": Foundation(
            "whisper", "", {"d_model": 32, "encoder_layers": 2, "encoder_attention_heads": 2, "encoder_ffn_dim": 64}
        ),
    }
)
"""Encoders by name; those that end in `-random` are small ones for tests of what is built around them."""


@dataclass(frozen=True, slots=True)
class LoadedFoundation:
    """A frozen encoder that the folds of a process share."""

    model: nn.Module
    """No parameter of it learns."""
    kind: str
    checksum: int
    """Of its parameters when it was loaded; 0 on the meta device."""
    normalise: bool
    """Whether sound is to have mean 0 and variance 1, as the preprocessor config says."""


def check_foundation(name: str, kinds: tuple[str, ...]) -> str:
    """Return the name if it is an encoder of one of these kinds, or `hf:` and a folder or hub name.

    Raises:
        UsageError: if not.
    """
    known = [key for key, each in FOUNDATIONS.items() if each.kind in kinds]
    if name in known or (name.startswith(PREFIX) and len(name) > len(PREFIX)):
        return name
    raise UsageError(f"expected {', '.join(known)}, hf:FOLDER or hf:HUB/NAME, got '{name}'{near(name, known)}")


def missing_foundation(name: str, *, pretrained: bool) -> str:
    """Return what of an encoder is not on this machine, in one line with the cure; empty where all is.

    Only files are looked at, and of the hub only what was fetched before.

    Args:
        name: one of `FOUNDATIONS`, or `hf:` and a folder or hub name.
        pretrained: its weights are needed; else its config alone, and none of `FOUNDATIONS`.
    """
    needed = _needed(name, pretrained)
    if not needed:
        return ""
    source = _source(name)
    folder = find_folder(source)
    if folder is None:
        return f"encoder '{source}': not on this machine; {_CURE}"
    lost = lost_file(folder, needed)
    return "" if lost is None else f"encoder '{source}': no {lost} in {folder}; {_CURE}"


def fetch_foundation(name: str, *, pretrained: bool) -> None:
    """Have on this machine what `missing_foundation` looks for; what a folder lacks is not fetched.

    Raises:
        DataError: if it cannot be had.
    """
    if not missing_foundation(name, pretrained=pretrained):
        return
    source = _source(name)
    if not Path(source).is_dir():
        try:
            fetch_folder(source)
        except Exception as error:  # what the hub's client raises without a network is no OSError everywhere
            raise _unavailable(source, error) from None
    if missing := missing_foundation(name, pretrained=pretrained):
        raise DataError(missing)


def _needed(name: str, pretrained: bool) -> tuple[str, ...]:
    if pretrained and not name.endswith("-random"):
        return "config.json", "*.safetensors"
    return () if name in FOUNDATIONS else ("config.json",)


def load_foundation(name: str, *, pretrained: bool, kinds: tuple[str, ...]) -> LoadedFoundation:
    """Return a frozen encoder on the CPU, loaded once per process; on the meta device, if that is the default one.

    Random weights and the meta device need no file of one of `FOUNDATIONS`.

    Args:
        name: one of `FOUNDATIONS`, or `hf:` and a folder or hub name.
        pretrained: load its weights; otherwise they are random, the same in every process.
        kinds: what is expected.

    Raises:
        DataError: if transformers or the weights are missing.
        UsageError: the weights are of another kind.
    """
    require_hf(f"the encoder {name}")
    if torch.empty(0).device.type == "meta":
        model, kind = _random(name)
        return LoadedFoundation(model.requires_grad_(False), kind, 0, _layer_normed(model))
    loaded = _loaded(name, pretrained and not name.endswith("-random"))
    if loaded.kind not in kinds:
        raise UsageError(f"encoder '{name}' is a {loaded.kind}, expected {' or '.join(kinds)}; name another one")
    return loaded


# two at a time, for pictures and for sound: the next ones take gigabytes too
@lru_cache(maxsize=2)
def _loaded(name: str, pretrained: bool) -> LoadedFoundation:
    if pretrained:
        model, kind = _from_files(name)
    else:
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(RANDOM_SEED)
            model, kind = _random(name)
    normalise = _normalised(_source(name), model) if pretrained and kind == "wavlm" else _layer_normed(model)
    model = model.eval().requires_grad_(False)
    return LoadedFoundation(model, kind, checksum(model.parameters()), normalise)


def _random(name: str) -> tuple[Any, str]:
    known = FOUNDATIONS.get(name)
    config = _still(_fetched("AutoConfig", _source(name))) if known is None else known.config()
    kind = _kind(config, name)
    made = getattr(import_module(f"transformers.models.{kind}.modeling_{kind}"), _CLASSES[kind][1])
    return made._from_config(config, **({"add_pooling_layer": False} if kind == "vit" else {})), kind


def _from_files(name: str) -> tuple[Any, str]:
    source = _source(name)
    config = _still(_fetched("AutoConfig", source))
    kind = _kind(config, name)
    options = {"add_pooling_layer": False} if kind == "vit" else {}
    model = _fetched("AutoModel", source, config=config, dtype=torch.float32, use_safetensors=True, **options)
    return (model.get_encoder() if kind == "whisper" else model), kind


def _still(config: Any) -> Any:
    for option, value in _STILL.get(config.model_type, {}).items():
        setattr(config, option, value)
    return config


def _kind(config: Any, name: str) -> str:
    if config.model_type not in _CLASSES:
        raise UsageError(f"encoder '{name}' is a {config.model_type}, expected {', '.join(_CLASSES)}; name another one")
    return str(config.model_type)


def _layer_normed(model: Any) -> bool:
    """The rule of the kind: a feature encoder with layer norms was trained on normalised sound."""
    return bool(getattr(model.config, "feat_extract_norm", "") == "layer")


def _normalised(source: str, model: Any) -> bool:
    """What the preprocessor config says; without one, the rule."""
    mixin = import_module("transformers.feature_extraction_utils").FeatureExtractionMixin
    try:
        said, _ = mixin.get_feature_extractor_dict(source)
    except OSError:
        return _layer_normed(model)
    return bool(said.get("do_normalize", _layer_normed(model)))


def _source(name: str) -> str:
    """Folder or hub name."""
    return name.removeprefix(PREFIX) if name.startswith(PREFIX) else FOUNDATIONS[name].hub


def _fetched(kind: str, source: str, **options: Any) -> Any:
    """Read a model or config from a folder or the hub; no code of theirs is run."""
    try:
        with quiet():
            made = getattr(import_module("transformers"), kind)
            return made.from_pretrained(source, trust_remote_code=False, **options)
    except (OSError, ValueError) as error:
        raise _unavailable(source, error) from None


def _unavailable(source: str, error: Exception) -> DataError:
    reason = str(error).strip().partition("\n")[0]
    return DataError(f"encoder '{source}': {reason}; {_CURE}")
