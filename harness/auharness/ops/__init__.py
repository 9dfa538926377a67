"""Sequence-mixer operators: one package per operator, each with a plain reference and fast paths beside it."""

from auharness.ops.attention import attention, attention_backend
from auharness.ops.ttt_linear import ttt_linear, ttt_linear_backend

__all__ = ["attention", "attention_backend", "ttt_linear", "ttt_linear_backend"]
