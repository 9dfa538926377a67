"""Frozen language models: where their weights and words come from, loaded once per process."""

import hashlib
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from auharness.errors import DataError, IntegrityError, UsageError, near
from auharness.nn.hub import find_folder
from auharness.nn.vision import import_torchvision

__all__ = [
    "BACKBONES",
    "Backbone",
    "Base",
    "base_width",
    "check_backbone",
    "checksum",
    "fetch_base",
    "load_base",
    "missing_base",
    "quiet",
    "require_hf",
]

PREFIX = "hf:"
"""Before a folder or a hub name of any decoder that transformers knows."""
CURE = (
    "fetch it on a machine with a network and give its folder with --set backbone=hf:FOLDER, or take random weights "
    "with --set init=none"
)
CONFIG = ("config.json",)
PRETRAINED = (*CONFIG, "tokenizer.json", "*.safetensors")
FILES = ["*.json", "*.txt", "*.safetensors"]
"""What is fetched of a hub name: no pickled weights."""
HUB_TIMEOUT_S = 5.0
RANDOM_SEED = 0
"""Of random weights: all folds, runs and machines get the same."""
_PIECE = re.compile(r"\w+|[^\w\s]")
_CHUNK = 2**20


@dataclass(frozen=True, slots=True)
class Backbone:
    """A Qwen2 decoder: its name on the hub and what its config says."""

    hub: str
    """Empty for a model that exists only with random weights."""
    width: int
    layers: int
    heads: int
    kv_heads: int
    mlp_width: int
    vocabulary: int
    rope_base: float
    init_std: float = 0.02

    def config(self) -> Any:
        """Return the transformers config."""
        made = import_module("transformers.models.qwen2.configuration_qwen2").Qwen2Config
        return made(
            hidden_size=self.width,
            num_hidden_layers=self.layers,
            num_attention_heads=self.heads,
            num_key_value_heads=self.kv_heads,
            intermediate_size=self.mlp_width,
            vocab_size=self.vocabulary,
            rope_parameters={"rope_type": "default", "rope_theta": self.rope_base},
            initializer_range=self.init_std,
        )


def _qwen2(hub: str, rope_base: float) -> Backbone:
    """The 1.5B size of Qwen2, which its successors kept."""
    return Backbone(hub, 1536, layers=28, heads=12, kv_heads=2, mlp_width=8960, vocabulary=151_936, rope_base=rope_base)


BACKBONES: Final[Mapping[str, Backbone]] = MappingProxyType(
    {
        "qwen2-1.5b": _qwen2("Qwen/Qwen2-1.5B", 1e6),
        "qwen2.5-1.5b": _qwen2("Qwen/Qwen2.5-1.5B", 1e6),
        "deepseek-r1-distill-qwen-1.5b": _qwen2("deepseek-ai/DeepSeek-R1-Distill-Qwen-1.5B", 1e4),
        # weights of about 1 / sqrt(width), so that a token reaches the last position through two layers
        "tiny-random": Backbone("", 64, 2, 4, 2, 128, vocabulary=512, rope_base=1e4, init_std=0.125),
    }
)
"""The language models of AU-LLM, and one that a CPU trains in seconds."""


@dataclass(frozen=True, slots=True)
class Base:
    """A frozen decoder that the folds of a process share."""

    model: nn.Module
    """`model(inputs_embeds=...)`; no parameter of it learns."""
    token_ids: Callable[[str], tuple[int, ...]]
    checksum: int
    """Of its parameters when it was loaded; 0 on the meta device."""

    def verify(self) -> None:
        """Refuse a base that is not as it was loaded.

        Raises:
            IntegrityError: naming both checksums.
        """
        found = checksum(self.model.parameters())
        if found != self.checksum:
            raise IntegrityError(
                f"the frozen language model changed: checksum {found:x}, expected {self.checksum:x} as loaded; "
                "leave its tensors alone and start the run again"
            )


def check_backbone(name: str) -> str:
    """Return the name if it is one of `BACKBONES` or `hf:` and a folder or hub name.

    Raises:
        UsageError: if not.
    """
    if name in BACKBONES or (name.startswith(PREFIX) and len(name) > len(PREFIX)):
        return name
    raise UsageError(
        f"expected {', '.join(BACKBONES)} or hf:FOLDER or hf:HUB/NAME, got '{name}'{near(name, BACKBONES)}"
    )


def require_hf(what: str = "the language model") -> None:
    """Refuse to go on without transformers and peft, which `what` needs.

    Raises:
        DataError: naming the install command.
    """
    missing = [name for name in ("transformers", "peft") if find_spec(name) is None]
    if missing:
        raise DataError(f'{what} needs {" and ".join(missing)}, not installed; run: pip install "auharness[hf]"')
    # transformers and peft import it where it is installed, and fail where it is built for another torch
    if find_spec("torchvision") is not None:
        import_torchvision()


def missing_base(backbone: str, *, pretrained: bool) -> str:
    """Return what of a language model is not on this machine, in one line with the cure; empty where all is.

    Only files are looked at, and of the hub only what was fetched before.

    Args:
        backbone: one of `BACKBONES`, or `hf:` and a folder or hub name.
        pretrained: its weights and tokeniser are needed; else its config alone, and none of `BACKBONES`.
    """
    needed = PRETRAINED if pretrained else () if backbone in BACKBONES else CONFIG
    if not needed:
        return ""
    source = _source(backbone)
    folder = find_folder(source)
    if folder is None:
        return f"language model '{source}': not on this machine; {CURE}"
    lost = next((pattern for pattern in needed if not any(folder.glob(pattern))), None)
    return "" if lost is None else f"language model '{source}': no {lost} in {folder}; {CURE}"


def fetch_base(backbone: str, *, pretrained: bool) -> None:
    """Have on this machine what `missing_base` looks for; what a folder lacks is not fetched.

    Raises:
        DataError: if it cannot be had.
    """
    missing = missing_base(backbone, pretrained=pretrained)
    source = _source(backbone)
    if missing and Path(source).is_dir():
        raise DataError(missing)
    if missing:
        try:
            download = import_module("huggingface_hub").snapshot_download
            download(source, allow_patterns=FILES, etag_timeout=HUB_TIMEOUT_S)
        except Exception as error:  # what the hub's client raises without a network is no OSError everywhere
            raise _unavailable(source, error) from None
        missing = missing_base(backbone, pretrained=pretrained)
        if missing:
            raise DataError(missing)


def base_width(backbone: str) -> int:
    """Return the embedding width of a language model, without loading it."""
    if backbone in BACKBONES:
        return BACKBONES[backbone].width
    require_hf()
    return int(_fetched("AutoConfig", _source(backbone)).hidden_size)


def load_base(backbone: str, *, pretrained: bool, dtype: torch.dtype) -> Base:
    """Return a frozen decoder on the CPU, loaded once per process; on the meta device, if that is the default one.

    Random weights and the meta device need no file of one of `BACKBONES`; the prompt is then cut into words and signs,
    each with a number made from its letters, which is about as many as the real tokeniser makes.

    Args:
        backbone: one of `BACKBONES`, or `hf:` and a folder or hub name.
        pretrained: load its weights; otherwise they are random, the same in every process.
        dtype: of the weights.

    Raises:
        DataError: if transformers, the weights or the tokeniser are missing.
    """
    require_hf()
    if torch.empty(0).device.type == "meta":
        model = _random_model(backbone).to(dtype).requires_grad_(False)
        return Base(model, _word_ids(model.config.vocab_size), 0)
    return _loaded(backbone, pretrained, dtype)


def checksum(tensors: Iterable[Tensor]) -> int:
    """Return a 63-bit number that depends on every bit of the tensors and on their order.

    >>> a, b = torch.zeros(3), torch.tensor([0.0, 0.0, 1e-45])
    >>> checksum([a]) == checksum([a.clone()]), checksum([a]) == checksum([b])
    (True, False)
    """
    total = 1
    for tensor in tensors:
        for words in _words(tensor):
            place = torch.arange(1, 2 * len(words), 2, device=words.device)
            # wraps around
            parts = torch.stack((words.sum(), (words * place).sum())).tolist()
            for part in (len(words), *parts):
                total = (total * 1_000_003 + part) % 2**63
    return total


def _words(tensor: Tensor) -> Iterator[Tensor]:
    """The bytes of a tensor as int64, in chunks."""
    raw = tensor.detach().contiguous().flatten().view(torch.uint8)
    # a copy is aligned to 8 bytes
    raw = F.pad(raw, (0, -len(raw) % 8)) if len(raw) % 8 else raw
    raw = raw.clone() if raw.storage_offset() % 8 else raw
    yield from torch.split(raw.view(torch.int64), _CHUNK)


# one at a time: the next one takes gigabytes too
@lru_cache(maxsize=1)
def _loaded(backbone: str, pretrained: bool, dtype: torch.dtype) -> Base:
    if pretrained:
        source = _source(backbone)
        options = {"dtype": dtype, "use_safetensors": True, "attn_implementation": "sdpa"}
        model = _fetched("AutoModel", source, **options)
        # as its file has it: the class that a config names may cut words in another way
        token_ids = _tokenised(_fetched("PreTrainedTokenizerFast", source))
    else:
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(RANDOM_SEED)
            model = _random_model(backbone).to(dtype)
        token_ids = _word_ids(model.config.vocab_size)
    model = model.eval().requires_grad_(False)
    return Base(model, token_ids, checksum(model.parameters()))


def _random_model(backbone: str) -> Any:
    known = BACKBONES.get(backbone)
    config = known.config() if known is not None else _fetched("AutoConfig", _source(backbone))
    return import_module("transformers").AutoModel.from_config(config, attn_implementation="sdpa")


def _source(backbone: str) -> str:
    """Folder or hub name."""
    return backbone.removeprefix(PREFIX) if backbone.startswith(PREFIX) else BACKBONES[backbone].hub


def _fetched(kind: str, source: str, **options: Any) -> Any:
    """Read a model, config or tokeniser from a folder or the hub; no code of theirs is run."""
    try:
        with quiet():
            made = getattr(import_module("transformers"), kind)
            return made.from_pretrained(source, trust_remote_code=False, **options)
    except (OSError, ValueError) as error:
        raise _unavailable(source, error) from None


def _unavailable(source: str, error: Exception) -> DataError:
    reason = str(error).strip().partition("\n")[0]
    return DataError(f"language model '{source}': {reason}; {CURE}")


@contextmanager
def quiet() -> Iterator[None]:
    """Keep transformers' progress bars out of ours."""
    logging = import_module("transformers.utils.logging")
    shown = logging.is_progress_bar_enabled()
    logging.disable_progress_bar()
    try:
        yield
    finally:
        if shown:
            logging.enable_progress_bar()


def _tokenised(tokeniser: Any) -> Callable[[str], tuple[int, ...]]:
    def ids(text: str) -> tuple[int, ...]:
        found = tuple(tokeniser(text)["input_ids"])
        if not found:
            raise DataError(f"prompt '{text}': the tokeniser of '{tokeniser.name_or_path}' finds no word in it")
        return found

    return ids


def _word_ids(vocabulary: int) -> Callable[[str], tuple[int, ...]]:
    def ids(text: str) -> tuple[int, ...]:
        digests = (hashlib.sha256(piece.encode()).digest() for piece in _PIECE.findall(text))
        return tuple(int.from_bytes(digest[:8], "big") % vocabulary for digest in digests)

    return ids
