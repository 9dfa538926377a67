"""Fixtures that packages of the core share."""

from dataclasses import replace

import pytest

from auharness.scaling.case import Case
from auharness.scaling.point import Point, make_point
from auharness.scaling.records import Machine

CPU = Machine(kind="cpu", device="test processor", threads=1, versions={"torch": "2.13"})


@pytest.fixture
def point():
    """Make a point of an operator; time grows with the given power of the length."""

    def make(mixer="ttt", length=1024, *, power=1.0, machine=CPU, status="ok", phase="forward", **fields) -> Point:
        case = replace(Case("op", mixer, "length", length), **{k: fields.pop(k) for k in list(fields) if k in CASE})
        time = (length / 1024) ** power
        measured = {"best_ms": time, "p50_ms": 1.1 * time, "p95_ms": 2 * time, "floor_ms": time / 4, "samples": 5}
        measured |= {"peak_bytes": 2**20 * length, "saved_bytes": 2048 * length, "backend": {"op": "torch"}}
        if status != "ok":
            measured = {}
        given = {"phase": phase, "mode": "eager", "machine": machine, "status": status}
        return make_point(case, **given, **{**measured, **fields})

    return make


CASE = Case.__dataclass_fields__
