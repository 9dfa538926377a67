"""Calls of every operator as its backends get them, and a count that shares no code with the one under test."""

from collections.abc import Callable
from functools import partial
from math import prod
from typing import Any, NamedTuple

import pytest
import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

SIZES = ((1, 1, 1), (2, 6, 3), (1, 13, 5))
"""Batch, tokens, mini-batch: one token, a whole number and a remainder of mini-batches."""


class OperatorCall(NamedTuple):
    """What a backend is called with."""

    tensors: tuple[Tensor | None, ...]
    options: dict[str, Any]

    def on(self, run: Callable[..., Any]) -> tuple[Callable[..., Any], tuple[Tensor, ...]]:
        """Return a function of the tensors that are given, and these."""
        given = [place for place, x in enumerate(self.tensors) if x is not None]

        def call(*tensors: Tensor) -> Any:
            every = list(self.tensors)
            for place, x in zip(given, tensors, strict=True):
                every[place] = x
            return run(*every, **self.options)

        return call, tuple(self.tensors[place] for place in given)


def _attention(batch: int, length: int, mini_batch: int, *, causal: bool = False) -> OperatorCall:
    q, k, v = (
        torch.randn(batch, 3, length, 8),
        torch.randn(batch, 3, length + 2, 8),
        torch.randn(batch, 3, length + 2, 5),
    )
    return OperatorCall((q, k, v), {"causal": causal})


def _ttt(batch: int, length: int, mini_batch: int, *, state: tuple[tuple[int, int], ...], reverse: tuple[bool, ...]):
    lead = (len(reverse), batch, 2)
    tokens = (*torch.randn(3, *lead, length, 8), torch.rand(*lead, length), torch.rand(len(reverse), mini_batch))
    layers = (torch.randn(*lead, *shape) for shape in state)
    norm = torch.randn(2, len(reverse), 2, 8)
    options = {"mini_batch": mini_batch, "eps": 1e-6, "reverse": reverse, "suffix": 1}
    return OperatorCall((*tokens, *layers, *norm), options)


def _fla_ttt(batch: int, length: int, mini_batch: int) -> OperatorCall:
    tokens = (*torch.randn(3, batch, 2, length, 8), torch.rand(batch, 2, length))
    state = (torch.randn(2, 8, 8), torch.randn(2, 1, 8), *torch.randn(2, 2, 8))
    return OperatorCall((*tokens, *state), {"mini_batch": mini_batch, "eps": 1e-6})


def _selective_scan(
    batch: int,
    length: int,
    mini_batch: int,
    *,
    reverse: tuple[bool, ...] = (False,),
    options: bool = False,
    zoh: bool = False,
) -> OperatorCall:
    lead, dim, state = (len(reverse), batch), 6, 4
    u, delta, z = torch.rand(3, *lead, length, dim)
    B, C = torch.randn(2, *lead, length, state)
    D, bias = torch.rand(2, len(reverse), dim)
    A, first = -torch.rand(len(reverse), dim, state), torch.randn(*lead, dim, state)
    optional = (D, z, bias, first) if options else (None,) * 4
    return OperatorCall(
        (u, delta, A, B, C, *optional), {"softplus": options, "zoh": zoh, "reverse": reverse, "suffix": 1}
    )


def _ssd(batch: int, length: int, mini_batch: int, *, reverse: tuple[bool, ...] = (False,)) -> OperatorCall:
    lead, heads, channels, state = (len(reverse), batch), 4, 3, 5
    x, dt, A = torch.randn(*lead, length, heads, channels), torch.rand(*lead, length, heads), -torch.rand(1, heads)
    B, C = torch.randn(2, *lead, length, 2, state)
    return OperatorCall((x, dt, A.expand(len(reverse), heads), B, C, None), {"reverse": reverse, "suffix": 1})


_LINEAR, _MLP = ((8, 8), (1, 8)), ((8, 32), (1, 32), (32, 8), (1, 8))
CALLS: dict[str, tuple[str, Callable[..., OperatorCall]]] = {
    "attention": ("attention", _attention),
    "attention, causal": ("attention", partial(_attention, causal=True)),
    "fla_ttt": ("fla_ttt", _fla_ttt),
    "ttt_linear": ("ttt_linear", partial(_ttt, state=_LINEAR, reverse=(False,))),
    "ttt_linear, both": ("ttt_linear", partial(_ttt, state=_LINEAR, reverse=(False, True))),
    "ttt_mlp": ("ttt_mlp", partial(_ttt, state=_MLP, reverse=(False,))),
    "ttt_mlp, both": ("ttt_mlp", partial(_ttt, state=_MLP, reverse=(False, True))),
    "selective_scan": ("selective_scan", _selective_scan),
    "selective_scan, all options": ("selective_scan", partial(_selective_scan, options=True)),
    "selective_scan, both": ("selective_scan", partial(_selective_scan, reverse=(False, True))),
    "selective_scan, zoh": ("selective_scan", partial(_selective_scan, zoh=True)),
    "ssd": ("ssd", _ssd),
    "ssd, both": ("ssd", partial(_ssd, reverse=(False, True))),
}
"""Name -> operator and what makes a call of it from batch, tokens and mini-batch."""


class Unrolled(TorchDispatchMode):
    """Counts what runs: 2 FLOPs per MAC, 1 per pointwise result, 5 per normalised element, 1 per element summed."""

    def __init__(self) -> None:
        super().__init__()
        self.macs = self.others = 0

    @property
    def flops(self) -> int:
        return 2 * self.macs + self.others

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        out = func(*args, **(kwargs or {}))
        name = func.overloadpacket.__name__
        if name in ("mm", "bmm"):
            self.macs += out.numel() * args[0].shape[-1]
        elif name == "addmm":
            self.macs += out.numel() * args[1].shape[-1]
            self.others += out.numel()
        elif name == "convolution":
            self.macs += out.numel() * prod(args[1].shape[1:])
            self.others += 0 if args[2] is None else out.numel()
        elif name in ("_softmax", "native_layer_norm"):
            self.others += 5 * args[0].numel()
        elif name == "var":
            self.others += 2 * args[0].numel()
        elif torch.Tag.reduction in func.tags:
            self.others += args[0].numel()
        elif torch.Tag.pointwise in func.tags and name != "clone":
            self.others += prod(out.shape)
        return out


@pytest.fixture
def unrolled() -> type[Unrolled]:
    return Unrolled


@pytest.fixture(params=CALLS)
def operator_call(request: pytest.FixtureRequest) -> tuple[str, Callable[..., OperatorCall]]:
    return CALLS[request.param]


@pytest.fixture(params=SIZES, ids=str)
def size(request: pytest.FixtureRequest) -> tuple[int, int, int]:
    return request.param
