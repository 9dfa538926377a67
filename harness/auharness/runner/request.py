"""What a user asks for, and the fast answer when it is already on disk."""

import os
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any

from auharness import __version__
from auharness.errors import UsageError, near
from auharness.executors import EXECUTORS
from auharness.results.atomic import digest
from auharness.settings import environment_settings, read_toml, refuse_unending

__all__ = ["DATA_SIZES", "Layer", "Request", "make_request", "model_layers"]

Layer = tuple[str, Mapping[str, Any]]
"""Where settings come from, and their nested values."""

DATA_SIZES = ("tiny", "small", "full")
LISTS = ("presets", "seeds", "folds")
MOST_SEEDS = 1000
"""A number of seeds beyond this is a slip."""
PLACE_FIELDS = ("runs", "device", "jobs", "executor", "resources", "fresh", "data_roots", "config")
"""Fields that say where and how fast, not what: they stay out of the request hash (roots enter by their manifests)."""


@dataclass(frozen=True, slots=True)
class Request:
    """One `run` command.

    Raises:
        UsageError: on a value out of range.
    """

    model: str
    protocol: str
    presets: tuple[str, ...] = ()
    seeds: tuple[int, ...] = (0,)
    folds: tuple[str, ...] = ()
    """Names of folds; empty for all."""
    settings: Mapping[str, Any] = field(default_factory=dict)
    """Nested values of `--set`: model settings, and `data.<dataset>.<key>` for datasets."""
    config: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    """Content of the configuration file: the tables `model`, `data`, `data_roots` and `run`."""
    data_roots: Mapping[str, str] = field(default_factory=dict)
    data_size: str = "small"
    data_seed: int = 0
    runs: Path = Path("runs")
    device: str = "auto"
    jobs: int | None = None
    """Units at once; default: one more than cores on a CPU, one on a GPU, as many as it holds on a cluster."""
    executor: str = "local"
    """`local`, `ray` or `slurm`; no result depends on it."""
    resources: Mapping[str, Any] = field(default_factory=dict)
    """What a unit is given on a cluster: options of the executor."""
    fresh: bool = False
    limit: int | None = None
    """Rows per part of each fold; makes a smoke run."""
    max_steps: int | None = None
    """Training steps per unit; makes a smoke run."""
    weights: Path | None = None

    def __post_init__(self) -> None:
        if not self.seeds or len(set(self.seeds)) != len(self.seeds):
            raise UsageError(f"seeds: expected distinct numbers, got {list(self.seeds)}")
        for name in ("jobs", "limit", "max_steps"):
            value = getattr(self, name)
            if value is not None and value < 1:
                raise UsageError(f"{name}: expected at least 1, got {value}")
        if self.executor not in EXECUTORS:
            raise UsageError(f"executor: expected one of {', '.join(EXECUTORS)}, got {self.executor!r}")
        refuse_unending(self.settings, "setting ")
        if self.data_size not in DATA_SIZES:
            raise UsageError(f"data_size: expected one of {', '.join(DATA_SIZES)}, got {self.data_size!r}")
        if self.weights is not None and not self.weights.is_file():
            raise UsageError(f"weights: no file {self.weights}; write one with 'auharness pretrain'")

    def hash(self, sources: Mapping[str, Any]) -> str:
        """Digest of what is asked and of everything it is made from.

        Args:
            sources: digests of plugin files, configuration, environment, starting weights and manifests' stat.
        """
        asked = {key: value for key, value in asdict(self).items() if key not in PLACE_FIELDS}
        asked["weights"] = None if self.weights is None else str(self.weights)
        asked["file"] = {table: self.config.get(table, {}) for table in ("model", "data")}
        return digest({"asked": asked, "sources": dict(sources), "version": __version__})


def _check_types(values: Mapping[str, Any]) -> None:
    """Refuse values that a file or a script may hold and a flag cannot."""
    seeds = values.get("seeds", ())
    if _is_number(seeds):
        if not 1 <= seeds <= MOST_SEEDS:
            raise UsageError(f"run: seeds is {seeds}, expected 1 to {MOST_SEEDS}, or a list of seeds")
        seeds = ()
    for name in LISTS:
        listed = seeds if name == "seeds" else values.get(name, ())
        kind, what = (int, "whole numbers") if name == "seeds" else (str, "texts")
        sound = isinstance(listed, (str, Sequence)) and all(isinstance(item, kind) for item in listed)
        if not sound or any(isinstance(item, bool) for item in listed):
            raise UsageError(f"run: {name} is {listed!r:.80}, expected a list of {what}")
    for name in ("jobs", "limit", "max_steps", "data_seed"):
        if values.get(name) is not None and not _is_number(values[name]):
            raise UsageError(f"run: {name} is {values[name]!r}, expected a whole number")
    for name in ("model", "protocol", "data_size", "device", "executor"):
        if not isinstance(values.get(name, ""), str):
            raise UsageError(f"run: {name} is {values[name]!r}, expected a text")
    for name in ("runs", "weights"):
        if values.get(name) is not None and not isinstance(values[name], (str, Path)):
            raise UsageError(f"run: {name} is {values[name]!r}, expected a path")
    for name in ("data_roots", "settings", "resources"):
        if not isinstance(values.get(name, {}), Mapping):
            raise UsageError(f"run: {name} is {values[name]!r}, expected a table")


def _is_number(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def make_request(*, config: Path | None = None, **options: Any) -> Request:
    """Return a request from options, and from the configuration file's `[run]` table where an option is None.

    `seeds` is a list, or a number N for 0 .. N-1.

    Raises:
        UsageError: if an option is unknown or has a wrong value, or the file cannot be used.
    """
    tables = {} if config is None else read_toml(config)
    known = {item.name for item in fields(Request)} - {"config"}
    given = {key: value for key, value in options.items() if value is not None}
    for key in (*given, *tables.get("run", {})):
        if key not in known:
            raise UsageError(f"run: no option '{key}'{near(key, known)} (options: {', '.join(sorted(known))})")
    values = {**tables.get("run", {}), **given}
    for name in ("model", "protocol"):
        if not values.get(name):
            raise UsageError(f"run: no {name} given; name one with --{name} (see 'auharness list {name}s')")
    _check_types(values)
    if isinstance(values.get("seeds"), int):
        values["seeds"] = range(values["seeds"])
    for name in LISTS:
        if name in values:
            listed = values[name]
            values[name] = (listed,) if isinstance(listed, str) else tuple(listed)
    filed = tables.get("run", {}).get("resources")
    if isinstance(filed, Mapping):  # flags add to the file's
        values["resources"] = {**filed, **values["resources"]}
    for name in ("runs", "weights"):
        if name in values:
            values[name] = Path(values[name])
    return Request(**values, config=tables)


def model_layers(request: Request) -> list[Layer]:
    """The model's settings outside its plugin, weakest first: file, environment, flags."""
    flags = {key: value for key, value in request.settings.items() if key != "data"}
    if request.max_steps is not None:
        flags = {**flags, "recipe": {**flags.get("recipe", {}), "max_steps": request.max_steps}}
    environment = {key: value for key, value in environment_settings(os.environ).items() if key != "data"}
    return [("file", request.config.get("model", {})), ("environment", environment), ("flag", flags)]
