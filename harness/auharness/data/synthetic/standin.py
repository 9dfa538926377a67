"""Synthetic stand-ins on disk: written once, found again, never mistaken for licensed data or, half-written, for whole.

A stand-in is written subject by subject into `<target>.partial`; a marker is left after each subject, so a killed run
goes on where it stopped. At the end `SYNTHETIC.json` is written and the folder gets its name. A lock keeps a second
process waiting meanwhile.
"""

import contextlib
import os
import shutil
import sys
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from functools import lru_cache
from importlib.resources import files
from pathlib import Path
from typing import IO

from auharness.data.cache_root import cache_root
from auharness.data.synthetic.layouts import LAYOUTS, Layout, load_layout
from auharness.data.synthetic.worker import write_subjects
from auharness.errors import DataError, UsageError, near
from auharness.results.atomic import digest, read_json, write_json

if sys.platform != "win32":
    import fcntl

__all__ = ["MARK", "ensure_standin", "is_standin", "standin_folder"]

MARK = "SYNTHETIC.json"
"""The completion mark in a stand-in's root."""

_MARKERS = ".written"
_DESCRIPTION = "description.json"
_NO_CONTENT = ("__init__.py", "standin.py", "worker.py")  # a change there changes no file of a stand-in


def ensure_standin(
    dataset: str,
    *,
    size: str = "small",
    seed: int = 0,
    root: Path | None = None,
    jobs: int | None = None,
    progress: Callable[[int, int, str], None] | None = None,
) -> Path:
    """Return the root of a complete stand-in in the vendor's layout; write it first if needed.

    The files depend on dataset, size and seed alone, not on `jobs` or on how often the writing was interrupted.

    Args:
        dataset: name in `LAYOUTS`.
        size: `tiny`, `small` or `full`.
        seed: everything random follows from it.
        root: folder to write to; it must not exist, be empty, or hold the same stand-in. `None` takes the user cache.
        jobs: worker processes; `None` takes one per available core.
        progress: called with (subjects done, subjects in all, subject) from the calling thread or a helper thread.

    Raises:
        UsageError: unknown dataset or size.
        DataError: `root` holds something else, or a worker failed.
    """
    layout = load_layout(dataset)
    description = _describe(dataset, layout, size=size, seed=seed)
    target = root.resolve() if root is not None else standin_folder(dataset, size=size, seed=seed)
    if _holds(target, description):
        return target
    target.parent.mkdir(parents=True, exist_ok=True)
    with _locked(target.with_name(f".{target.name}.lock")):
        if not _holds(target, description):
            _write(target, layout, description=description, jobs=jobs, progress=progress)
    return target


def is_standin(root: Path) -> dict[str, object] | None:
    """Return what `SYNTHETIC.json` says, or `None` where `root` is no complete stand-in.

    Its keys are dataset, size, seed, generator (digest) and counts (subjects, sequences, frames, positives per AU).
    """
    try:
        content = read_json(root / MARK)
    except (FileNotFoundError, NotADirectoryError, ValueError):
        return None
    return content if isinstance(content, dict) else None


def standin_folder(dataset: str, *, size: str, seed: int) -> Path:
    """Return where the user cache keeps a stand-in; the name changes with the generator's source and settings.

    Raises:
        UsageError: unknown dataset or size.
    """
    description = _describe(dataset, load_layout(dataset), size=size, seed=seed)
    return cache_root() / "standin" / f"{dataset}-{size}-seed{seed}-{description['generator']}"


def _describe(dataset: str, layout: Layout, *, size: str, seed: int) -> dict[str, object]:
    """What tells one stand-in from another."""
    known = layout.sizes()
    if size not in known:
        raise UsageError(f"'{size}' is no size of a stand-in{near(size, known)} (sizes: {', '.join(known)})")
    generator = digest({"settings": repr(known[size]), "sources": _sources(dataset)}, 12)
    return {"dataset": dataset, "size": size, "seed": seed, "generator": generator}


@lru_cache
def _sources(dataset: str) -> dict[str, str]:
    """Return file name -> text of everything that the content of a stand-in follows from."""
    package = files("auharness.data.synthetic")
    sources = [entry for entry in package.iterdir() if entry.name.endswith(".py") and entry.name not in _NO_CONTENT]
    sources.append(package / "layouts" / f"{LAYOUTS[dataset].rpartition('.')[2]}.py")
    sources.extend(entry for entry in (package / "counts").iterdir() if entry.name.startswith(f"{dataset}_"))
    return {entry.name: entry.read_text(encoding="utf-8") for entry in sources}


def _holds(target: Path, description: Mapping[str, object]) -> bool:
    """Whether `target` is this stand-in; refuse anything else that is not an empty folder."""
    found = is_standin(target)
    if found is not None and description.items() <= found.items():
        return True
    if target.exists() and (not target.is_dir() or any(target.iterdir())):
        held = "another stand-in" if found is not None else "files that are no stand-in"
        raise DataError(
            f"{target} holds {held}; expected {description['dataset']}, size {description['size']}, "
            f"seed {description['seed']}, generator {description['generator']}, or an empty folder; choose another"
        )
    return False


def _write(
    target: Path,
    layout: Layout,
    *,
    description: Mapping[str, object],
    jobs: int | None,
    progress: Callable[[int, int, str], None] | None,
) -> None:
    dataset, size, seed = str(description["dataset"]), str(description["size"]), int(str(description["seed"]))
    partial = target.with_name(f".{target.name}.partial")
    markers = partial / _MARKERS
    if not (markers / _DESCRIPTION).exists() or read_json(markers / _DESCRIPTION) != description:
        shutil.rmtree(partial, ignore_errors=True)
        write_json(markers / _DESCRIPTION, dict(description))
    everyone = layout.subjects(size=size)
    written = {subject for subject in everyone if (markers / f"{subject}.json").exists()}
    missing = [subject for subject in everyone if subject not in written]

    def done(subject: str, totals: Mapping[str, int]) -> None:
        write_json(markers / f"{subject}.json", dict(totals))
        written.add(subject)
        if progress is not None:
            progress(len(written), len(everyone), subject)

    write_subjects(partial, dataset, missing, size=size, seed=seed, jobs=_jobs(jobs), done=done)
    layout.write_shared(partial, everyone, size=size, seed=seed)
    counts: Counter[str] = Counter({"subjects": len(everyone)})
    for subject in everyone:
        counts.update(read_json(markers / f"{subject}.json"))
    shutil.rmtree(markers)
    write_json(partial / MARK, {**description, "counts": dict(counts)})
    partial.replace(target)


def _jobs(jobs: int | None) -> int:
    if jobs is not None:
        return max(1, jobs)
    return len(os.sched_getaffinity(0)) if sys.platform == "linux" else os.cpu_count() or 1


@contextlib.contextmanager
def _locked(path: Path) -> Iterator[None]:
    """Hold an exclusive lock that ends with the process, however it ends; on Windows there is none."""
    if sys.platform == "win32":
        yield
        return
    while True:
        with path.open("w") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            # whoever held it before has removed the file; a lock on a file without a name excludes nobody
            if not _names(path, file):
                continue
            try:
                yield
            finally:
                path.unlink(missing_ok=True)
            return


def _names(path: Path, file: IO[str]) -> bool:
    """Whether `path` still leads to the open `file`; one look, since others remove it meanwhile."""
    try:
        return os.path.samestat(os.fstat(file.fileno()), path.stat())
    except FileNotFoundError:
        return False
