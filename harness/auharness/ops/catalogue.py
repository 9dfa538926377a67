"""All operators with their backends, for those who ask what this machine has."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, Final

from auharness.ops import attention, fla_ttt, selective_scan, ssd, ttt_linear, ttt_mlp
from auharness.ops.backends import Backend

__all__ = ["OPERATORS"]

OPERATORS: Final[Mapping[str, Mapping[str, Backend[Any]]]] = MappingProxyType(
    {
        "ttt_linear": ttt_linear.BACKENDS,
        "ttt_mlp": ttt_mlp.BACKENDS,
        "selective_scan": selective_scan.BACKENDS,
        "ssd": ssd.BACKENDS,
        "attention": attention.BACKENDS,
        "fla_ttt": fla_ttt.BACKENDS,
    }
)
"""Operator -> its backends in order of preference."""
