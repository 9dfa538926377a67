"""What a reference on the command line means: a commit, a folder, or a file of pytest-benchmark."""

import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from auharness.errors import UsageError
from auharness.gate.policy import Trees

__all__ = ["Side", "open_side"]


@dataclass(frozen=True)
class Side:
    """Base or head of a comparison.

    Attributes:
        name: as the report calls it, e.g. `HEAD^1 (1a2b3c4)`.
        records: folder of records, `<protocol>/<model>/<run>/`; None if there is none.
        source: tree that can be measured; None if there is none.
        sessions: files of pytest-benchmark in their order.
    """

    name: str
    records: Path | None = None
    source: Path | None = None
    sessions: tuple[Path, ...] = ()


@contextmanager
def open_side(references: Sequence[str], trees: Trees, *, role: str, cwd: Path) -> Iterator[Side]:
    """Yield what the references of one side give together; commits lie in temporary worktrees while it is open.

    | reference | records | source |
    |---|---|---|
    | file | | (a session of pytest-benchmark) |
    | folder with `leaderboards/data` or the imported folders | its `leaderboards/data` | itself |
    | any other folder | itself | |
    | anything else: a commit of the repository around `cwd` | its `leaderboards/data` | its checkout |

    A folder of records takes the place of those that are committed in a tree.

    Args:
        references: at least one.
        trees: names of the folders in a tree.
        role: `baseline` or `head`, for messages.
        cwd: relative references start here.

    Raises:
        UsageError: a reference is nothing of these, or two give the same thing.
    """
    with ExitStack() as stack:
        found = [stack.enter_context(_open(reference, trees, role, cwd)) for reference in references]
        yield _together(found, role)


def _together(parts: Sequence[Side], role: str) -> Side:
    plain = [part for part in parts if part.records is not None and part.source is None]
    sources = [part for part in parts if part.source is not None]
    for what, several in (("folders of records", plain), ("source trees", sources)):
        if len(several) > 1:
            raise UsageError(f"--{role}: two {what} ({several[0].name} and {several[1].name}), expected at most one")
    records = next((part.records for part in (*plain, *sources) if part.records is not None), None)
    return Side(
        name=", ".join(part.name for part in parts),
        records=records,
        source=sources[0].source if sources else None,
        sessions=tuple(path for part in parts for path in part.sessions),
    )


@contextmanager
def _open(reference: str, trees: Trees, role: str, cwd: Path) -> Iterator[Side]:
    path = cwd / reference
    if path.is_file():
        yield Side(reference, sessions=(path,))
    elif path.is_dir():
        yield _folder(reference, path, trees)
    else:
        with _checkout(reference, role, cwd) as (tree, commit):
            yield replace(_folder(reference, tree, trees), name=f"{reference} ({commit[:10]})", source=tree)


def _folder(name: str, path: Path, trees: Trees) -> Side:
    records = path / trees.records
    is_tree = records.is_dir() or (bool(trees.imports) and all((path / part).is_dir() for part in trees.imports))
    if not is_tree:
        return Side(name, records=path)
    return Side(name, records=records if records.is_dir() else None, source=path.resolve())


@contextmanager
def _checkout(reference: str, role: str, cwd: Path) -> Iterator[tuple[Path, str]]:
    """Yield the folder of a commit that corresponds to `cwd`, in a worktree that is removed at the end."""
    commit = _git(cwd, "rev-parse", "--verify", "--quiet", "--end-of-options", f"{reference}^{{commit}}")
    if commit is None:
        raise UsageError(
            f"--{role} {reference}: no file, folder or commit of that name; expected one of these "
            "(a shallow clone has no older commits: fetch the baseline first)"
        )
    inside = _git(cwd, "rev-parse", "--show-prefix") or ""
    with tempfile.TemporaryDirectory(prefix="auharness-gate-") as folder:
        tree = Path(folder) / "tree"
        # hooks of the repository are none of the gate's business
        quiet = ("-c", "core.hooksPath=/dev/null", "-c", "advice.detachedHead=false")
        if _git(cwd, *quiet, "worktree", "add", "--quiet", "--detach", str(tree), commit) is None:
            raise UsageError(f"--{role} {reference}: git cannot check out {commit[:10]}; try 'git worktree prune'")
        try:
            yield tree / inside, commit
        finally:
            _git(cwd, "worktree", "remove", "--force", str(tree))


def _git(cwd: Path, *words: str) -> str | None:
    """Return what git prints, None where it fails or is not there."""
    try:
        done = subprocess.run(["git", *words], cwd=cwd, capture_output=True, text=True, check=False)
    except OSError:
        return None
    return done.stdout.strip() if done.returncode == 0 else None
