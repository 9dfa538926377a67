"""What a case runs: an operator on random tensors, a mixer layer, or a whole model, at the size of ViT-S.

Operators of 6 heads of 64 (TTT, attention), 768 channels with a state of 16 (Mamba) or 12 heads of 64 with a state of
128 (Mamba-2); layers of 384 channels. One direction reads every token once; `-bi` reads both ways in one call.
"""

import copy
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from types import MappingProxyType
from typing import Any, Final

import torch
from torch import Tensor, nn
from torch.nn.functional import softplus

from auharness import registry
from auharness.efficiency import count
from auharness.errors import UsageError, near
from auharness.nn.mixers import MIXERS, AudioGuidedSSM
from auharness.ops.attention import BACKENDS as ATTENTION
from auharness.ops.attention import attention
from auharness.ops.fla_ttt import BACKENDS as FLA_TTT
from auharness.ops.fla_ttt import fla_ttt
from auharness.ops.selective_scan import BACKENDS as SELECTIVE_SCAN
from auharness.ops.selective_scan import selective_scan
from auharness.ops.ssd import ssd
from auharness.ops.ttt_linear import ttt_linear
from auharness.ops.ttt_mlp import ttt_mlp
from auharness.scaling.case import PATCH, Case, Level, Phase, grid_side
from auharness.scaling.floors import Work, attention_work, scan_work, ssd_work, ttt_linear_work, ttt_mlp_work
from auharness.testing.fake import fake_batch, fake_task

__all__ = ["MODEL_MIXERS", "OPERATORS", "Subject", "build", "missing", "mixer_names"]

DIM, HEADS, WIDTH = 384, 6, 64  # ViT-S
CHANNELS, STATE = 768, 16  # Mamba: twice the width, arXiv:2312.00752
SSD_HEADS, SSD_STATE = 12, 128  # Mamba-2, arXiv:2405.21060


@dataclass(frozen=True)
class Subject:
    """Something to be timed."""

    forward: Callable[[], Tensor]
    inputs: tuple[Tensor, ...]
    """What a training pass differentiates by: arguments and parameters."""
    work: Callable[[Phase], Work]
    """What one call has to do at least."""
    reference: Callable[[], Tensor] | None = None
    """The same by plain torch, for operators."""
    module: nn.Module | None = None

    def training(self) -> tuple[Tensor, ...]:
        """Run forward and backward and return the gradients of `inputs`."""
        out = self.forward()
        return torch.autograd.grad(out, self.inputs, torch.ones_like(out), allow_unused=True)


@dataclass(frozen=True)
class _Operator:
    """How the arguments of an operator are made, and what it costs."""

    arguments: Callable[[Case, "_Random"], Sequence[Tensor]]
    call: Callable[..., Tensor]
    """`call(tensors, case, backend)`."""
    work: Callable[[Phase, Case, int], Work]
    """Per token; the last argument is bytes per element."""
    backend: str | None = None
    missing: Callable[[], str | None] = field(default=lambda: None)
    directions: int = 1


class _Random:
    """Random tensors of one case, the same on every device."""

    def __init__(self, case: Case, device: torch.device) -> None:
        self.device, self.dtype = device, getattr(torch, case.dtype)
        self._generator = torch.Generator().manual_seed(0)

    def normal(self, *shape: int, std: float = 1.0, half: bool = True) -> Tensor:
        """Return normal numbers; `half=False` keeps float32 whatever the case asks for."""
        x = std * torch.randn(*shape, generator=self._generator)
        return x.to(self.device, self.dtype if half else torch.float32).requires_grad_()

    def uniform(self, *shape: int, scale: float = 1.0, half: bool = True) -> Tensor:
        """Return uniform numbers in [0, scale)."""
        x = scale * torch.rand(*shape, generator=self._generator)
        return x.to(self.device, self.dtype if half else torch.float32).requires_grad_()


def _heads(case: Case, random: _Random, *lead: int) -> list[Tensor]:
    return [random.normal(*lead, case.batch, HEADS, case.length, WIDTH) for _ in range(3)]


def _ttt_arguments(case: Case, random: _Random, *lead: int, hidden: int = 0) -> Sequence[Tensor]:
    rate = random.uniform(*lead, case.batch, HEADS, case.length, scale=(0.1 if hidden else 1.0) / WIDTH, half=False)
    scale = (1 / torch.arange(1.0, case.mini_batch + 1)).to(random.device).requires_grad_()
    sizes = [(WIDTH, hidden), (hidden, WIDTH)] if hidden else [(WIDTH, WIDTH)]
    state = []
    for rows, columns in sizes:
        state += [
            random.normal(*lead, HEADS, rows, columns, std=0.02, half=False),
            random.normal(*lead, HEADS, 1, columns, std=0.0, half=False),
        ]
    norm = [random.normal(*lead, HEADS, WIDTH, std=0.1, half=False) for _ in range(2)]
    return [*_heads(case, random, *lead), rate, scale, *state, *norm]


def _scan_arguments(case: Case, random: _Random, *lead: int) -> Sequence[Tensor]:
    shape = (*lead, case.batch, case.length)
    u, delta, z = (random.normal(*shape, CHANNELS) for _ in range(3))
    b, c = (random.normal(*shape, STATE) for _ in range(2))
    a = -torch.arange(1.0, STATE + 1).expand(*lead, CHANNELS, STATE).contiguous()
    skip, bias = random.normal(*lead, CHANNELS, half=False), random.normal(*lead, CHANNELS, std=0.1, half=False)
    return [u, delta, a.to(random.device).requires_grad_(), b, c, skip, z, bias]


def _ssd_arguments(case: Case, random: _Random) -> Sequence[Tensor]:
    shape = (case.batch, case.length)
    x, step = random.normal(*shape, SSD_HEADS, WIDTH), random.normal(*shape, SSD_HEADS, half=False)
    decay = -torch.arange(1.0, SSD_HEADS + 1).to(random.device)
    b, c = (random.normal(*shape, SSD_STATE) for _ in range(2))
    return [x, softplus(step - 4).detach().requires_grad_(), decay.requires_grad_(), b, c]


def _ttt(tensors: Sequence[Tensor], case: Case, backend: str | None, *, both: bool) -> Tensor:
    direction, suffix = ("both", 1) if both else ("forward", 0)
    options: dict[str, Any] = {"direction": direction, "suffix": suffix, "backend": backend}
    return ttt_linear(*tensors, mini_batch=case.mini_batch, **options)


def _ttt_mlp(tensors: Sequence[Tensor], case: Case, backend: str | None) -> Tensor:
    return ttt_mlp(*tensors, mini_batch=case.mini_batch, backend=backend)


def _fla(tensors: Sequence[Tensor], case: Case, backend: str | None) -> Tensor:
    q, k, v, rate, _, *rest = tensors
    return fla_ttt(q, k, v, rate, *rest, mini_batch=case.mini_batch, backend=backend)


def _scan(tensors: Sequence[Tensor], case: Case, backend: str | None, *, both: bool) -> Tensor:
    direction, suffix = ("both", 1) if both else ("forward", 0)
    options: dict[str, Any] = {"direction": direction, "suffix": suffix, "backend": backend}
    return selective_scan(*tensors, delta_softplus=True, **options)


def _ssd(tensors: Sequence[Tensor], case: Case, backend: str | None) -> Tensor:
    return ssd(*tensors, backend=backend)


def _attention(tensors: Sequence[Tensor], case: Case, backend: str | None) -> Tensor:
    return attention(*tensors, backend=backend)


def _ttt_cost(which: Phase, case: Case, size: int) -> Work:
    return ttt_linear_work(which, heads=HEADS, d=WIDTH, mini_batch=case.mini_batch, size=size)


def _mlp_cost(which: Phase, case: Case, size: int) -> Work:
    return ttt_mlp_work(which, heads=HEADS, d=WIDTH, mini_batch=case.mini_batch, size=size)


def _scan_cost(which: Phase, case: Case, size: int) -> Work:
    return scan_work(which, channels=CHANNELS, state=STATE, size=size)


def _ssd_cost(which: Phase, case: Case, size: int) -> Work:
    return ssd_work(which, heads=SSD_HEADS, width=WIDTH, state=SSD_STATE, size=size)


def _attention_cost(which: Phase, case: Case, size: int) -> Work:
    return attention_work(which, length=case.length, channels=DIM, size=size)


OPERATORS: Final[Mapping[str, _Operator]] = MappingProxyType(
    {
        "ttt": _Operator(_ttt_arguments, partial(_ttt, both=False), _ttt_cost),
        "ttt-bi": _Operator(lambda c, r: _ttt_arguments(c, r, 2), partial(_ttt, both=True), _ttt_cost, directions=2),
        "ttt-mlp": _Operator(partial(_ttt_arguments, hidden=4 * WIDTH), _ttt_mlp, _mlp_cost),
        "mamba": _Operator(_scan_arguments, partial(_scan, both=False), _scan_cost),
        "mamba-bi": _Operator(
            lambda c, r: _scan_arguments(c, r, 2), partial(_scan, both=True), _scan_cost, directions=2
        ),
        "mamba2": _Operator(_ssd_arguments, _ssd, _ssd_cost),
        "attention": _Operator(_heads, _attention, _attention_cost),
        "flash-attn": _Operator(
            _heads, _attention, _attention_cost, backend="flash-attn", missing=ATTENTION["flash-attn"].missing
        ),
        "fla-ttt": _Operator(
            _ttt_arguments, _fla, _ttt_cost, backend="fla-fused", missing=FLA_TTT["fla-fused"].missing
        ),
        "mamba-ssm": _Operator(
            _scan_arguments, partial(_scan, both=False), _scan_cost,
            backend="mamba-ssm", missing=SELECTIVE_SCAN["mamba-ssm"].missing,
        ),
    }
)  # fmt: skip
"""Operators and peers by name; a peer is a library's kernel, asked for by its backend."""

AUDIO_GUIDED: Final = "ag-ssm"
"""A layer of two inputs, video and sound, so not in `MIXERS`."""
MODEL_MIXERS: Final = ("ttt", "mamba", "attention")
"""Values of the setting `mixer` of a model, all reading both ways."""


def mixer_names(level: Level) -> tuple[str, ...]:
    """Return the names that a level has."""
    names: dict[Level, tuple[str, ...]] = {
        "op": tuple(OPERATORS),
        "layer": (*(name for name in MIXERS if name != "linear"), AUDIO_GUIDED),
        "model": MODEL_MIXERS,
    }
    return names[level]


def missing(level: Level, mixer: str) -> str | None:
    """Return why this machine cannot run a mixer, or None.

    Raises:
        UsageError: the level has no such mixer.
    """
    names = mixer_names(level)
    if mixer not in names:
        raise UsageError(f"no mixer '{mixer}' at level {level}{near(mixer, names)} (mixers: {', '.join(names)})")
    return OPERATORS[mixer].missing() if level == "op" else None


def build(case: Case, device: torch.device, *, model: str = "au-ttt") -> Subject:
    """Return what a case runs, with random weights and inputs on a device.

    Args:
        case: what to build.
        device: where.
        model: plugin with a setting `mixer`, for the level `model`.
    """
    if case.level == "op":
        return _build_operator(case, device)
    return _build_layer(case, device) if case.level == "layer" else _build_model(case, device, name=model)


def _build_operator(case: Case, device: torch.device) -> Subject:
    operator = OPERATORS[case.mixer]
    tensors = operator.arguments(case, _Random(case, device))
    size = getattr(torch, case.dtype).itemsize

    def work(which: Phase) -> Work:
        return operator.work(which, case, size) * (operator.directions * case.batch * case.length)

    return Subject(
        forward=lambda: operator.call(tensors, case, operator.backend),
        inputs=tuple(tensors),
        work=work,
        reference=lambda: operator.call([x.float() for x in tensors], case, "reference"),
    )


def _build_layer(case: Case, device: torch.device) -> Subject:
    torch.manual_seed(0)
    random = torch.Generator().manual_seed(0)
    x = torch.randn(case.batch, case.length, DIM, generator=random)
    if case.mixer == AUDIO_GUIDED:
        sound = torch.randn(case.batch, case.length, DIM, generator=random)
        return _of_module(case, AudioGuidedSSM(DIM), (x, sound), device)
    options = {"mini_batch": case.mini_batch} if case.mixer.startswith("ttt") else {}
    module = MIXERS[case.mixer](DIM, heads=_layer_heads(case.mixer), **options)
    return _of_module(case, module, (x,), device)


def _layer_heads(mixer: str) -> int:
    return SSD_HEADS if mixer == "mamba2" else HEADS


def _build_model(case: Case, device: torch.device, *, name: str) -> Subject:
    torch.manual_seed(0)
    side = PATCH * grid_side(case.length)
    clip = "clip" in registry.load("model", name).inputs
    frames = {"frames": case.frames} if clip else {}
    settings = {"mixer": case.mixer, "preprocess": {"crop": side, "resize": max(256, side), **frames}}
    plugin = registry.load("model", name).model_validate(settings)
    task = fake_task(plugin)
    batch = fake_batch(plugin, task, size=case.batch * (1 if clip else case.frames))
    return _of_module(case, plugin.build(task), tuple(batch[kind] for kind in plugin.inputs), device)


def _of_module(case: Case, module: nn.Module, inputs: tuple[Tensor, ...], device: torch.device) -> Subject:
    dtype = getattr(torch, case.dtype)
    module = module.to(device, dtype)
    inputs = tuple(x.to(device, dtype) for x in inputs)

    def forward() -> Tensor:
        out = module(*inputs)
        return out if isinstance(out, Tensor) else out.logits

    def work(which: Phase) -> Work:
        macs = count(copy.deepcopy(module).to("meta"), [x.to("meta") for x in inputs]).macs
        return Work(2.0 * macs * (1 if which == "forward" else 3))

    return Subject(forward, tuple(module.parameters()), work, module=module)
