from collections.abc import Callable
from pathlib import Path

import pytest

from auharness.errors import UsageError
from auharness.gate.policy import Trees
from auharness.gate.sides import open_side

Git = Callable[..., str]
TREES = Trees()


@pytest.fixture
def repository(git: Git, tmp_path: Path) -> Path:
    folder = tmp_path / "repository"
    (folder / "leaderboards" / "data").mkdir(parents=True)
    (folder / "leaderboards" / "data" / "kept").write_text("old")
    git(tmp_path, "init", "-q", str(folder))
    git(folder, "add", ".")
    git(folder, "commit", "-qm", "first")
    (folder / "leaderboards" / "data" / "kept").write_text("new")
    return folder


def test_a_commit_is_checked_out_and_its_worktree_removed(repository: Path, git: Git) -> None:
    with open_side(["HEAD"], TREES, role="baseline", cwd=repository) as side:
        assert (side.records / "kept").read_text() == "old"
        assert side.source == side.records.parent.parent
        assert side.name == f"HEAD ({git(repository, 'rev-parse', 'HEAD')[:10]})"
    assert not side.source.exists()
    assert len(git(repository, "worktree", "list").splitlines()) == 1


def test_the_worktree_is_removed_after_an_error_too(repository: Path, git: Git) -> None:
    with pytest.raises(ZeroDivisionError), open_side(["HEAD"], TREES, role="baseline", cwd=repository):
        raise ZeroDivisionError
    assert len(git(repository, "worktree", "list").splitlines()) == 1


def test_hooks_of_the_repository_do_not_run(repository: Path, tmp_path: Path) -> None:
    hook = repository / ".git" / "hooks" / "post-checkout"
    hook.parent.mkdir(exist_ok=True)
    hook.write_text(f"#!/bin/sh\ntouch {tmp_path / 'ran'}\n")
    hook.chmod(0o755)
    with open_side(["HEAD"], TREES, role="baseline", cwd=repository):
        assert not (tmp_path / "ran").exists()


def test_below_the_top_of_a_repository_the_same_folder_of_the_commit_counts(repository: Path) -> None:
    with open_side(["HEAD"], TREES, role="baseline", cwd=repository / "leaderboards") as side:
        assert side.source.name == "leaderboards"


def test_a_folder_is_a_tree_where_it_holds_what_a_tree_holds(repository: Path, tmp_path: Path) -> None:
    with open_side([str(repository)], TREES, role="baseline", cwd=tmp_path) as side:
        assert (side.source, side.records) == (repository.resolve(), repository / "leaderboards" / "data")
    with open_side(["."], TREES, role="baseline", cwd=tmp_path) as side:
        assert (side.source, side.records) == (None, tmp_path)


def test_a_folder_of_records_takes_the_place_of_committed_ones(repository: Path, tmp_path: Path) -> None:
    (tmp_path / "runs").mkdir()
    (tmp_path / "a.json").write_text("{}")
    names = [str(tmp_path / "a.json"), "HEAD", str(tmp_path / "runs")]
    with open_side(names, TREES, role="baseline", cwd=repository) as side:
        assert side.records == tmp_path / "runs"
        assert side.source is not None
        assert side.sessions == (tmp_path / "a.json",)


def test_two_of_a_kind_are_refused(repository: Path, tmp_path: Path) -> None:
    with (
        pytest.raises(UsageError, match="--head: two source trees"),
        open_side(["HEAD", str(repository)], TREES, role="head", cwd=repository),
    ):
        pass


@pytest.mark.parametrize("name", ["no-such-branch", "--help", "-x", "HEAD:leaderboards", ""])
def test_a_reference_that_is_nothing_is_one_line(repository: Path, name: str) -> None:
    folder = repository / "leaderboards" if not name else repository
    with (
        pytest.raises(UsageError, match="no file, folder or commit"),
        open_side([name or "gone"], TREES, role="baseline", cwd=folder),
    ):
        pass


def test_outside_a_repository_a_commit_is_nothing(tmp_path: Path) -> None:
    with (
        pytest.raises(UsageError, match="no file, folder or commit"),
        open_side(["HEAD"], TREES, role="baseline", cwd=tmp_path),
    ):
        pass
