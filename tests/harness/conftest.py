"""Fixtures that packages of the core share."""

from collections.abc import Callable
from dataclasses import replace

import numpy as np
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


# subjects, clips, and positives of AUs, as published; who shows them is made up, 15 (11) subjects show a given AU not
MICRO = {
    "casme2": (26, 256, (26, 22, 130, 39, 34, 27, 16, 25), 15),
    "samm": (29, 159, (18, 23, 46, 28), 11),
}


@pytest.fixture(scope="session")
def micro_labels() -> Callable[..., dict[str, np.ndarray]]:
    """Make labels with the published totals of a micro-expression data set: subject -> `[clips, AUs]` of 0 and 1."""

    def make(dataset: str = "casme2") -> dict[str, np.ndarray]:
        n_subjects, n_clips, positives, n_without = MICRO[dataset]
        sizes = [n_clips // n_subjects + (place < n_clips % n_subjects) for place in range(n_subjects)]
        labels = [np.zeros((size, len(positives)), np.int8) for size in sizes]
        for au, count in enumerate(positives):
            # an AU in half of the clips cannot be missing from most subjects
            n_with = n_subjects - (2 if 3 * count > n_clips else n_without)
            having = [(5 * au + place) % n_subjects for place in range(n_with)]
            free = [(who, clip) for clip in range(max(sizes)) for who in having if clip < sizes[who]]
            for who, clip in free[:count]:
                labels[who][clip, au] = 1
        return {f"{number:02}": values for number, values in enumerate(labels, start=1)}

    return make


CASE = Case.__dataclass_fields__
