"""Files that pytest-benchmark writes: times of one session, and the machine it ran on."""

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from auharness.errors import DataError

__all__ = ["Session", "other_machine", "read_session"]

LARGEST = 256 * 2**20
"""Bytes of a file; a benchmark of 1,000,000 rounds has 20 MB."""
FIELDS = ("node", "system", "machine", "processor", "cores", "python")


@dataclass(frozen=True)
class Session:
    """One run of pytest-benchmark.

    Attributes:
        times: full name of each benchmark -> seconds of its rounds in their order; empty where the file has none.
        best: full name -> least time in seconds; NaN where the file has no such number.
        machine: fingerprint; a field that the file does not tell is absent.
    """

    times: dict[str, tuple[float, ...]]
    best: dict[str, float]
    machine: dict[str, str]


def read_session(path: Path) -> Session:
    """Return the session in a file of `--benchmark-json` or `--benchmark-save`.

    Raises:
        DataError: the file is missing, too large, or not of pytest-benchmark.
    """
    try:
        if path.stat().st_size > LARGEST:
            raise DataError(f"{path}: larger than {LARGEST >> 20} MiB, which no file of pytest-benchmark should be")
        content = json.loads(path.read_bytes())
    except OSError as error:
        raise DataError(f"{path}: cannot be read ({error.strerror}); expected a file of --benchmark-json") from None
    except (ValueError, RecursionError):
        raise DataError(f"{path}: not JSON; expected a file of pytest-benchmark's --benchmark-json") from None
    benchmarks = content.get("benchmarks") if isinstance(content, dict) else None
    if not isinstance(benchmarks, list) or not all(_is_benchmark(item) for item in benchmarks):
        raise DataError(f"{path}: no list 'benchmarks' in it; expected a file of pytest-benchmark's --benchmark-json")
    times, best = {}, {}
    for item in benchmarks:
        name = str(item.get("fullname") or item["name"])
        stats = item["stats"]
        data = stats.get("data") or ()
        times[name] = tuple(map(_number, data)) if isinstance(data, list) else ()
        best[name] = _least(times[name]) if times[name] else _number(stats.get("min"))
    return Session(times, best, _fingerprint(content.get("machine_info")))


def other_machine(base: Mapping[str, str], head: Mapping[str, str]) -> str:
    """Return how two fingerprints differ, or an empty text; a field that either lacks cannot be compared.

    Processors of one name differ by 26 % between two jobs of a hosted runner, so the name of the node is part of it.

    >>> same = dict(node="a", system="Linux", machine="x86_64", processor="X", cores="2", python="CPython 3.12")
    >>> other_machine(same, same), other_machine(same, {**same, "cores": "4"})
    ('', 'cores 2 and 4')
    """
    unlike = [name for name in FIELDS if name not in base or base.get(name) != head.get(name)]
    return ", ".join(f"{name} {base.get(name, 'not told')} and {head.get(name, 'not told')}" for name in unlike)


def _is_benchmark(item: Any) -> bool:
    return isinstance(item, dict) and "name" in item and isinstance(item.get("stats"), dict)


def _number(value: object) -> float:
    """A number as it is, everything else as NaN, which no check lets pass."""
    return float(value) if isinstance(value, int | float) and not isinstance(value, bool) else math.nan


def _least(values: tuple[float, ...]) -> float:
    """The least value, NaN if one of them is no number: `min` would pass over it."""
    return min(values) if all(map(math.isfinite, values)) else math.nan


def _fingerprint(info: object) -> dict[str, str]:
    if not isinstance(info, dict):
        return {}
    found = info.get("cpu")
    cpu = found if isinstance(found, dict) else {}
    minor = ".".join(str(info.get("python_version", "")).split(".")[:2])
    values = {
        "node": info.get("node"),
        "system": info.get("system"),
        "machine": info.get("machine"),
        "processor": cpu.get("brand_raw") or cpu.get("brand") or info.get("processor"),
        "cores": cpu.get("count"),
        "python": f"{info.get('python_implementation', '')} {minor}".strip(),
    }
    return {name: str(value) for name, value in values.items() if value}
