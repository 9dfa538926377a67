"""A unit as it travels to a worker process."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from auharness.records import Fold
from auharness.results.schema import DataInfo
from auharness.runner.inputs import Inputs

__all__ = ["UnitSpec"]


@dataclass(frozen=True, slots=True)
class UnitSpec:
    """All that one unit needs; picklable, and free of data."""

    unit_id: str
    run_id: str
    run_path: Path
    inputs: Inputs
    settings: Mapping[str, Any]
    """The model's resolved settings."""
    preset: str
    fold: Fold
    seed: int
    caches: Mapping[str, Path]
    """Dataset name -> folder of prepared crops."""
    data: DataInfo
    weights_sha256: str
