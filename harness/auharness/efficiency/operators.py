"""The mixer operators as the counter meets them: from the tensors of a call to its work and an answer of its shape."""

from collections.abc import Callable, Mapping
from importlib import import_module
from math import prod
from types import MappingProxyType
from typing import Final, cast

from torch import Tensor

from auharness.efficiency.closed_form import (
    Work,
    attention_work,
    fla_ttt_work,
    selective_scan_work,
    ssd_work,
    ttt_linear_work,
    ttt_mlp_work,
)
from auharness.errors import UsageError

__all__ = ["OPERATORS", "answer", "reference"]


_Answer = tuple[Work, tuple[Tensor, ...]]


def _attention(q: Tensor, k: Tensor, v: Tensor, *, causal: bool) -> tuple[Work, Tensor]:
    out = q.new_zeros(*q.shape[:-1], v.shape[-1])
    queries, d = q.shape[-2:]
    keys, value_d = v.shape[-2:]
    return attention_work(
        sequences=prod(q.shape[:-2]), queries=queries, keys=keys, d=d, value_d=value_d, causal=causal
    ), out


def _ttt_linear(
    q: Tensor,
    k: Tensor,
    v: Tensor,
    lr: Tensor,
    token_scale: Tensor,
    w0: Tensor,
    b0: Tensor,
    *norm: Tensor,
    mini_batch: int,
    **options: object,
) -> _Answer:
    *lead, tokens, d = q.shape
    work = ttt_linear_work(chains=prod(lead), tokens=tokens, d=d, mini_batch=mini_batch)
    return work, tuple(x.new_zeros(x.shape) for x in (q, w0, b0))


def _fla_ttt(q: Tensor, *tensors: Tensor, mini_batch: int, **options: object) -> tuple[Work, Tensor]:
    *lead, tokens, d = q.shape
    return fla_ttt_work(chains=prod(lead), tokens=tokens, d=d, mini_batch=mini_batch), q.new_zeros(q.shape)


def _ttt_mlp(
    q: Tensor,
    k: Tensor,
    v: Tensor,
    lr: Tensor,
    token_scale: Tensor,
    w1: Tensor,
    b1: Tensor,
    w2: Tensor,
    b2: Tensor,
    *norm: Tensor,
    mini_batch: int,
    **options: object,
) -> _Answer:
    *lead, tokens, d = q.shape
    work = ttt_mlp_work(chains=prod(lead), tokens=tokens, d=d, hidden=w1.shape[-1], mini_batch=mini_batch)
    return work, tuple(x.new_zeros(x.shape) for x in (q, w1, b1, w2, b2))


def _selective_scan(
    u: Tensor,
    delta: Tensor,
    A: Tensor,
    B: Tensor,
    C: Tensor,
    D: Tensor | None,
    z: Tensor | None,
    delta_bias: Tensor | None,
    initial_state: Tensor | None,
    *,
    softplus: bool,
    zoh: bool,
    **options: object,
) -> _Answer:
    *lead, tokens, dim = u.shape
    work = selective_scan_work(
        sequences=prod(lead),
        tokens=tokens,
        dim=dim,
        state=A.shape[-1],
        zoh=zoh,
        softplus=softplus,
        delta_bias=delta_bias is not None,
        skip=D is not None,
        gate=z is not None,
    )
    return work, (u.new_zeros(u.shape), A.new_zeros(*lead, dim, A.shape[-1]))


def _ssd(x: Tensor, dt: Tensor, A: Tensor, B: Tensor, *tensors: Tensor | None, **options: object) -> _Answer:
    *lead, tokens, heads, channels = x.shape
    state = B.shape[-1]
    work = ssd_work(sequences=prod(lead), tokens=tokens, heads=heads, channels=channels, state=state)
    return work, (x.new_zeros(x.shape), x.new_zeros(*lead, heads, channels, state))


OPERATORS: Final[Mapping[str, Callable[..., tuple[Work, object]]]] = MappingProxyType(
    {
        "attention": _attention,
        "fla_ttt": _fla_ttt,
        "selective_scan": _selective_scan,
        "ssd": _ssd,
        "ttt_linear": _ttt_linear,
        "ttt_mlp": _ttt_mlp,
    }
)
"""Operator -> what a call of its backends costs, and zeros of the shape that they return."""


def answer(operator: str, *tensors: Tensor | None, **options: object) -> tuple[Work, object]:
    """Return the work of a call and an answer of the right shape, without computing it.

    Args:
        operator: its package in `auharness.ops`.
        tensors: what a backend is called with.
        options: likewise.

    Raises:
        UsageError: the operator has no closed form.
    """
    if operator not in OPERATORS:
        raise UsageError(f"no closed form for the operator '{operator}' (known: {', '.join(OPERATORS)})")
    return OPERATORS[operator](*tensors, **options)


def reference(operator: str) -> Callable[..., object]:
    """Return the definition of an operator, plain torch that any counter can follow."""
    module = import_module(f"auharness.ops.{operator}.reference")
    return cast(Callable[..., object], getattr(module, f"{operator}_reference"))
