"""`auharness doctor`: the machine, the installed packages, the cache and the plugins, with cures."""

from __future__ import annotations

import argparse
import os
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from auharness.cli.common import common_options, emit, text_table

if TYPE_CHECKING:
    from auharness.cli.common import Subparsers

__all__ = ["add_parser"]

_MEDIAPIPE = "pip install --no-deps mediapipe==0.10.21 (its numpy<2 bound would downgrade the others)"
_IMPORTED = ("numba", "triton")  # what is quick to import, hence worth to be tried


@dataclass(frozen=True)
class Finding:
    """One line of the report."""

    what: str
    state: str
    """`ok`, `absent` (optional), or `broken` (something that is there does not work)."""
    detail: str


def add_parser(subparsers: Subparsers) -> None:
    """Add the command `doctor`."""
    parser = subparsers.add_parser(
        "doctor",
        parents=[common_options()],
        help="check the machine, the packages and the plugins",
        description="Check the machine, the packages and the plugins; exit code 3 if something is broken.",
    )
    parser.set_defaults(handler=handle)


def handle(args: argparse.Namespace) -> int:
    """Print the findings; 3 if one is broken."""
    findings = [*_machine(), *_extras(), *_operators(), *_disk(), *_plugins()]
    emit(args, [asdict(found) for found in findings], lambda: text_table(["", "", ""], _rows(findings)).lstrip("\n"))
    return 3 if any(found.state == "broken" for found in findings) else 0


def _rows(findings: list[Finding]) -> list[list[str]]:
    return [[found.what, found.state, found.detail] for found in findings]


def _machine() -> Iterator[Finding]:
    import platform

    import torch

    from auharness import __version__

    yield Finding("auharness", "ok", __version__)
    yield Finding("python", "ok", f"{platform.python_version()} on {platform.system()} {platform.machine()}")
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    yield Finding("torch", "ok", f"{torch.__version__}, {cores} CPU cores usable, {torch.get_num_threads()} threads")
    if torch.cuda.is_available():
        names = ", ".join(torch.cuda.get_device_name(index) for index in range(torch.cuda.device_count()))
        yield Finding("cuda", "ok", f"{torch.version.cuda}: {names}")
    else:
        yield Finding("cuda", "absent", "no usable GPU; training runs on the CPU")


def _extras() -> Iterator[Finding]:
    from importlib.util import find_spec

    from auharness.registry import EXTRAS

    for extra in dict.fromkeys(owner for module, owner in EXTRAS.items() if module != "mamba_ssm"):
        yield _extra(extra, [module for module, owner in EXTRAS.items() if owner == extra])
    present = find_spec("mediapipe") is not None
    yield Finding("mediapipe", "ok" if present else "absent", "installed" if present else _MEDIAPIPE)
    yield _mamba_ssm()


def _extra(extra: str, modules: list[str]) -> Finding:
    from functools import partial
    from importlib import import_module
    from importlib.util import find_spec

    from auharness.ops.backends import import_problem

    missing = [module for module in modules if find_spec(module) is None]
    tried = [module for module in modules if module in _IMPORTED and module not in missing]
    broken = [problem for module in tried if (problem := import_problem(module, partial(import_module, module)))]
    cure = f'{", ".join(missing)} missing: pip install "auharness[{extra}]"'
    state = "broken" if broken else "absent" if missing else "ok"
    return Finding(f"extra {extra}", state, "; ".join([*broken, *([cure] if missing else [])]) or ", ".join(modules))


def _mamba_ssm() -> Finding:
    from importlib.util import find_spec

    from auharness.ops.selective_scan.mamba_ssm import INSTALL, mamba_ssm_missing
    from auharness.ops.ssd.mamba_ssm import mamba_ssm_missing as ssd_missing

    if find_spec("mamba_ssm") is None:
        return Finding("mamba_ssm", "absent", f"{INSTALL} (its scan needs nvcc; see docs/gpu.md)")
    scan, ssd = mamba_ssm_missing(), ssd_missing()
    if scan is None and ssd is None:
        return Finding("mamba_ssm", "ok", "installed")
    if scan is None or ssd is None:
        works = "SSD" if ssd is None else "selective scan"
        return Finding("mamba_ssm", "ok", f"{works} only: {scan or ssd}")
    return Finding("mamba_ssm", "absent", f"installed but of no use here: {scan}")


def _operators() -> Iterator[Finding]:
    from auharness.ops.catalogue import OPERATORS

    for name, backends in OPERATORS.items():
        absent = {backend: reason for backend, entry in backends.items() if (reason := entry.missing())}
        here = ", ".join(backend for backend in backends if backend not in absent)
        why = "".join(f"; {backend} absent: {reason}" for backend, reason in absent.items())
        yield Finding(f"op {name}", "ok", here + why)


def _disk() -> Iterator[Finding]:
    import shutil

    from auharness.data.cache_root import cache_root

    root = cache_root()
    existing = next(folder for folder in (root, *root.parents) if folder.exists())
    free = shutil.disk_usage(existing).free / 2**30
    writable = os.access(existing, os.W_OK)
    detail = f"{root}, {free:.1f} GiB free"
    yield Finding("cache", "ok" if writable else "broken", detail if writable else f"{detail}, not writable")
    runs = Path("runs").resolve()
    yield Finding("runs", "ok", f"{runs}{'' if runs.exists() else ' (not there yet)'}")


def _plugins() -> Iterator[Finding]:
    from auharness.errors import AuharnessError, DataError
    from auharness.registry import KINDS, load, names, observers

    for kind in KINDS:
        working = []
        for name in names(kind):
            try:
                load(kind, name)
                working.append(name)
            except DataError as error:
                yield Finding(f"{kind} {name}", "absent", str(error))
            except AuharnessError as error:
                yield Finding(f"{kind} {name}", "broken", str(error))
        yield Finding(f"{kind}s", "ok", ", ".join(working) or "none")
    try:
        count = len(observers().get_plugins())
        yield Finding("observers", "ok", f"{count} installed")
    except AuharnessError as error:
        yield Finding("observers", "broken", str(error))
