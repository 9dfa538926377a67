"""Where the root of a dataset comes from: a flag, the environment, the config file, or a synthetic stand-in."""

import os
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from auharness.errors import DataError, UsageError

__all__ = ["DATA_VARIABLE", "RootChoice", "check_origins", "locate_root", "parse_flags", "resolve_root"]

DATA_VARIABLE = "AUHARNESS_DATA"
"""Environment variable with a folder that holds one folder per dataset."""
MARK = "SYNTHETIC.json"


@dataclass(frozen=True, slots=True)
class RootChoice:
    """The root of one dataset and how it was chosen."""

    dataset: str
    path: Path
    origin: Literal["licensed", "synthetic"]
    given_by: str
    """`--data-root`, `AUHARNESS_DATA`, `config` or `stand-in`."""


def parse_flags(values: Iterable[str]) -> dict[str, str]:
    """Return dataset -> path from the values of `--data-root`.

    >>> parse_flags(["bp4d=/data/BP4D"])
    {'bp4d': '/data/BP4D'}

    Raises:
        UsageError: if a value is not `dataset=PATH`, or a dataset is given twice.
    """
    flags: dict[str, str] = {}
    for value in values:
        dataset, equals, path = value.partition("=")
        if not (dataset and equals and path):
            raise UsageError(f"--data-root {value}: expected dataset=PATH, such as --data-root bp4d=/data/BP4D")
        if dataset in flags:
            raise UsageError(f"--data-root: {dataset} is given twice ({flags[dataset]}, {path}); give it once")
        flags[dataset] = path
    return flags


def locate_root(
    name: str, *, flags: Mapping[str, str], config: Mapping[str, str], env: Mapping[str, str] = os.environ
) -> RootChoice | None:
    """Return the root that the user gave, without writing anything; None where a stand-in is to be used.

    A flag stands above `AUHARNESS_DATA/<dataset>`, which is used if that folder exists, and that above the config file.

    Raises:
        DataError: if a given root is not a folder.
    """
    beside = Path(env[DATA_VARIABLE]).expanduser() / name if env.get(DATA_VARIABLE) else None
    if name in flags:
        return _given(name, Path(flags[name]).expanduser(), "--data-root")
    if beside is not None and beside.is_dir():
        return _given(name, beside, DATA_VARIABLE)
    if name in config:
        return _given(name, Path(config[name]).expanduser(), "config")
    return None


def resolve_root(
    name: str,
    *,
    flags: Mapping[str, str],
    config: Mapping[str, str],
    env: Mapping[str, str] = os.environ,
    size: str = "small",
    seed: int = 0,
    progress: Callable[[int, int, str], None] | None = None,
) -> RootChoice:
    """Return the root of a dataset; writes the synthetic stand-in into the cache if no root is given.

    Args:
        name: dataset name.
        flags: dataset -> path given by `--data-root`.
        config: dataset -> path given by the config file.
        env: environment variables.
        size: size of the stand-in.
        seed: seed of the stand-in.
        progress: called while a stand-in is written with (subjects done, subjects in all, subject).

    Raises:
        DataError: if a given root is not a folder.
        UsageError: if no root is given and the dataset has no stand-in.
    """
    choice = locate_root(name, flags=flags, config=config, env=env)
    if choice is not None:
        return choice
    from auharness.data.synthetic.standin import ensure_standin

    return RootChoice(name, ensure_standin(name, size=size, seed=seed, progress=progress), "synthetic", "stand-in")


def check_origins(choices: Iterable[RootChoice]) -> Literal["licensed", "synthetic"]:
    """Return the origin that all roots of a run share.

    Raises:
        UsageError: if licensed and synthetic data would be mixed.
    """
    listed = list(choices)
    licensed = [choice for choice in listed if choice.origin == "licensed"]
    synthetic = [choice for choice in listed if choice.origin == "synthetic"]
    if licensed and synthetic:
        raise UsageError(
            f"licensed and synthetic data never mix in one run: {_place(licensed[0])} is licensed, "
            f"{_place(synthetic[0])} is synthetic; give --data-root {synthetic[0].dataset}=PATH, or no root at all"
        )
    return "synthetic" if synthetic else "licensed"


def _given(name: str, path: Path, given_by: str) -> RootChoice:
    if not path.is_dir():
        raise DataError(f"{name}: {path} (given by {given_by}) is not a folder; expected the root of the dataset")
    return RootChoice(name, path, "synthetic" if (path / MARK).is_file() else "licensed", given_by)


def _place(choice: RootChoice) -> str:
    return f"{choice.dataset} ({choice.path}, given by {choice.given_by})"
