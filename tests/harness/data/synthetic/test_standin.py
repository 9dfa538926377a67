import os
import signal
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from auharness.data.synthetic import standin
from auharness.data.synthetic.layouts import bp4d
from auharness.data.synthetic.standin import MARK, ensure_standin, is_standin, standin_folder
from auharness.data.synthetic.worker import write_subjects
from auharness.errors import DataError, UsageError

SUBJECTS = ("F001", "F002", "M001")


@pytest.fixture
def few_subjects(monkeypatch: pytest.MonkeyPatch, flat_faces: None) -> None:
    monkeypatch.setattr(bp4d, "subjects", lambda *, size: SUBJECTS)
    monkeypatch.setattr(standin, "_jobs", lambda jobs: 1)  # a patched renderer exists in this process only


def contents(root: Path) -> dict[str, bytes]:
    return {path.relative_to(root).as_posix(): path.read_bytes() for path in root.rglob("*") if path.is_file()}


def test_writes_into_the_user_cache_and_marks_it_as_synthetic(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, few_subjects: None
) -> None:
    monkeypatch.setenv("AUHARNESS_CACHE", str(tmp_path))
    seen: list[tuple[int, int, str]] = []
    root = ensure_standin("bp4d", size="tiny", progress=lambda *step: seen.append(step))
    assert root == standin_folder("bp4d", size="tiny", seed=0)
    assert root.parent == tmp_path / "standin" and root.name.startswith("bp4d-tiny-seed0-")
    assert seen == [(1, 3, "F001"), (2, 3, "F002"), (3, 3, "M001")]
    mark = is_standin(root)
    assert mark is not None
    assert (mark["dataset"], mark["size"], mark["seed"]) == ("bp4d", "tiny", 0)
    counts = mark["counts"]
    assert isinstance(counts, dict)
    assert (counts["subjects"], counts["sequences"], counts["frames"]) == (3, 12, 24)
    assert [path.name for path in root.parent.iterdir()] == [root.name]


def test_a_whole_stand_in_is_returned_without_writing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, few_subjects: None
) -> None:
    root = ensure_standin("bp4d", size="tiny", root=tmp_path / "bp4d")
    monkeypatch.setattr(standin, "write_subjects", lambda *args, **options: pytest.fail("written again"))
    assert ensure_standin("bp4d", size="tiny", root=root) == root


def test_an_interrupted_stand_in_is_not_taken_for_whole_and_goes_on_where_it_stopped(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, few_subjects: None
) -> None:
    whole = contents(ensure_standin("bp4d", size="tiny", root=tmp_path / "undisturbed"))
    written: list[str] = []
    original = bp4d.write_subject

    def failing(root: Path, subject: str, *, size: str, seed: int) -> dict[str, int]:
        written.append(subject)
        totals = original(root, subject, size=size, seed=seed)
        if len(written) == 2:
            raise KeyboardInterrupt
        return totals

    monkeypatch.setattr(bp4d, "write_subject", failing)
    target = tmp_path / "bp4d"
    with pytest.raises(KeyboardInterrupt):
        ensure_standin("bp4d", size="tiny", root=target)
    assert not target.exists() and is_standin(target) is None
    assert ensure_standin("bp4d", size="tiny", root=target) == target
    assert written == ["F001", "F002", "F002", "M001"]
    assert contents(target) == whole


_KILLED = """
import os, signal, sys
from pathlib import Path
import numpy as np
from auharness.data.synthetic import film
from auharness.data.synthetic.layouts import bp4d
from auharness.data.synthetic.standin import ensure_standin

calls = 0
def kill(*args, size, **options):
    global calls
    calls += 1
    if calls == 12:
        os.kill(os.getpid(), signal.SIGKILL)
    return np.zeros((size, size, 3), np.uint8), np.zeros((68, 2), np.float32)

film.render_face = kill
ensure_standin("bp4d", size="tiny", root=Path(sys.argv[1]), jobs=1)
"""


def test_a_killed_process_leaves_no_lock_and_no_stand_in(tmp_path: Path, few_subjects: None) -> None:
    target = tmp_path / "bp4d"
    killed = subprocess.run([sys.executable, "-c", _KILLED, str(target)], capture_output=True, check=False)
    assert killed.returncode == -signal.SIGKILL, killed.stderr.decode()
    assert not target.exists()
    assert is_standin(ensure_standin("bp4d", size="tiny", root=target)) is not None


def test_two_processes_wait_for_each_other(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, few_subjects: None) -> None:
    monkeypatch.setenv("AUHARNESS_CACHE", str(tmp_path))
    written: list[str] = []
    original = bp4d.write_subject

    def noting(root: Path, subject: str, *, size: str, seed: int) -> dict[str, int]:
        written.append(subject)
        return original(root, subject, size=size, seed=seed)

    monkeypatch.setattr(bp4d, "write_subject", noting)
    # flock excludes two descriptors of one process just as it excludes two processes
    threads = [threading.Thread(target=ensure_standin, args=("bp4d",), kwargs={"size": "tiny"}) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(written) == sorted(SUBJECTS)
    assert is_standin(standin_folder("bp4d", size="tiny", seed=0)) is not None


def test_the_lock_has_one_holder_however_often_its_file_goes(tmp_path: Path) -> None:
    inside: list[int] = []
    most: list[int] = []

    def hold_often(name: int) -> None:
        for _ in range(300):
            with standin._locked(tmp_path / "lock"):
                inside.append(name)
                most.append(len(inside))
                inside.remove(name)

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(hold_often, range(8)))  # raises what a thread raised
    assert max(most) == 1 and len(most) == 8 * 300
    assert not (tmp_path / "lock").exists()


def test_seed_and_nothing_else_decides_the_files(tmp_path: Path, few_subjects: None) -> None:
    first = contents(ensure_standin("bp4d", size="tiny", root=tmp_path / "first"))
    again = contents(ensure_standin("bp4d", size="tiny", root=tmp_path / "again"))
    other = contents(ensure_standin("bp4d", size="tiny", seed=1, root=tmp_path / "other"))
    assert first == again
    assert first.keys() == other.keys() and all(first[name] != other[name] for name in first if name.endswith(".jpg"))


@pytest.mark.parametrize("dataset", ["bp4d", "disfa"])
def test_files_do_not_depend_on_the_number_of_processes(dataset: str, tmp_path: Path) -> None:
    subjects = {"bp4d": ["F001", "M002"], "disfa": ["SN001", "SN032"]}[dataset]
    for jobs in (1, 2):
        done: list[str] = []
        write_subjects(
            tmp_path / str(jobs),
            dataset,
            subjects,
            size="tiny",
            seed=3,
            jobs=jobs,
            done=lambda subject, totals, done=done: done.append(subject),
        )
        assert sorted(done) == subjects
    assert contents(tmp_path / "1") == contents(tmp_path / "2") != {}


def test_a_worker_that_fails_is_reported_with_its_reason(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="bp4d stand-in failed: KeyError: 'X001'"):
        write_subjects(
            tmp_path, "bp4d", ["X001", "X002"], size="tiny", seed=0, jobs=2, done=lambda subject, totals: None
        )


def test_a_worker_ends_when_its_parent_is_gone(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "auharness.data.synthetic.worker", str(tmp_path), "bp4d", "full", "0", "F001"]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=environment) as process:
        said, _ = process.communicate(timeout=60)  # closes its standard input, as the end of a parent does
    assert process.returncode == 1 and said == b""


def test_a_folder_with_other_files_is_refused(tmp_path: Path, few_subjects: None) -> None:
    (tmp_path / "2D+3D").mkdir()
    with pytest.raises(DataError, match="holds files that are no stand-in; expected bp4d, size tiny, seed 0"):
        ensure_standin("bp4d", size="tiny", root=tmp_path)


def test_another_stand_in_is_refused(tmp_path: Path, few_subjects: None) -> None:
    root = ensure_standin("bp4d", size="tiny", root=tmp_path / "bp4d")
    with pytest.raises(DataError, match="holds another stand-in; expected bp4d, size tiny, seed 1"):
        ensure_standin("bp4d", size="tiny", seed=1, root=root)


def test_an_empty_folder_is_filled(tmp_path: Path, few_subjects: None) -> None:
    (tmp_path / "bp4d").mkdir()
    assert (ensure_standin("bp4d", size="tiny", root=tmp_path / "bp4d") / MARK).exists()


def test_an_unknown_dataset_or_size_names_the_nearest() -> None:
    known = "affwild2, bp4d, casme2, dfew, disfa, samm"
    with pytest.raises(UsageError, match=rf"'bp4'; did you mean 'bp4d'.*stand-ins: {known}"):
        ensure_standin("bp4")
    with pytest.raises(UsageError, match=r"'smal' .*did you mean 'small'"):
        ensure_standin("bp4d", size="smal")


def test_licensed_folders_are_no_stand_ins(tmp_path: Path) -> None:
    assert is_standin(tmp_path) is None
    assert is_standin(tmp_path / "missing") is None
    (tmp_path / MARK).write_text("{half")
    assert is_standin(tmp_path) is None
