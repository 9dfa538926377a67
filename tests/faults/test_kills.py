"""kill -9 at every named write point and at random moments, then the same command again."""

import os
import random
import signal
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest

import auharness.data.cache
import auharness.training.unit
from auharness.results import atomic
from auharness.results.store import iter_runs
from auharness.results.verify import verify_runs
from auharness.runner import RunResult

pytestmark = [
    pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork"),
    pytest.mark.filterwarnings("ignore:.*multi-threaded.*fork:DeprecationWarning"),
]

RANDOM_MOMENTS = 12
HANDS = 5
PATIENCE_S = 300


def in_child(work: Callable[[], object], *, kill_after_s: float | None = None) -> bool:
    """Fork, do the work in the child, and return True if it came to its end, False if it was killed."""
    child = os.fork()
    if child == 0:
        code = 1
        try:
            signal.alarm(PATIENCE_S)  # a child that hangs fails the test instead of hanging it
            work()
            code = 0
        finally:
            os._exit(code)
    if kill_after_s is not None:
        time.sleep(kill_after_s)
        os.kill(child, signal.SIGKILL)
    _, status = os.waitpid(child, 0)
    if os.WIFSIGNALED(status):
        assert os.WTERMSIG(status) == signal.SIGKILL
        return False
    assert os.WEXITSTATUS(status) == 0, "the child raised"
    return True


@pytest.fixture
def on_write_point(monkeypatch: pytest.MonkeyPatch) -> Callable[[Callable[[str], None]], None]:
    """Call a function at each write point of runs, crops and pages; a checkpoint is written after every step."""
    monkeypatch.setattr(auharness.training.unit, "CHECKPOINT_S", 0.0)

    def install(action: Callable[[str], None]) -> None:
        monkeypatch.setattr(atomic, "write_point", action)
        monkeypatch.setattr(auharness.data.cache, "write_point", action)

    return install


class Store:
    """A runs folder with a crop cache of its own, and what is known to be finished in it."""

    def __init__(self, folder: Path) -> None:
        self.runs, self.cache = folder / "runs", folder / "cache"
        self.finished: dict[Path, tuple[int, bytes]] = {}

    def check(self) -> None:
        """Whatever is finished is whole, and is what it was when it was finished."""
        assert verify_runs(self.runs)[1] == []
        for path, stamp in self.finished.items():
            assert (path.stat().st_mtime_ns, path.read_bytes()) == stamp
        marks = [run.unit_folder(ref.unit_id) for run in iter_runs(self.runs) for ref in run.record.units]
        for mark in (folder / "unit.json" for folder in marks if (folder / "unit.json").is_file()):
            self.finished[mark] = (mark.stat().st_mtime_ns, mark.read_bytes())

    def results(self) -> dict[str, dict[str, str]]:
        """Digests of all results of the run, and of the board."""
        (run,) = iter_runs(self.runs)
        units = {f"{unit.fold} {unit.seed}": dict(unit.files) for unit in run.finished()}
        for files in units.values():
            files.pop("log.txt")  # holds times, and the tale of the resumptions
        board = sorted((self.runs / "leaderboard").glob("[!.]*"))
        return {**units, "board": {path.name: atomic.file_digest(path) for path in board}}

    def leftovers(self) -> list[Path]:
        """Scratch folders and half-written files in the folders of units."""
        return [*self.runs.glob("*/*/*/units/*/scratch"), *self.runs.glob("*/*/*/units/*/.*")]


@pytest.mark.parametrize("seed", [0, *(pytest.param(seed, marks=pytest.mark.nightly) for seed in range(1, 6))])
def test_a_run_that_is_killed_again_and_again_ends_as_if_nothing_had_happened(
    run_mini: Callable[..., RunResult],
    on_write_point: Callable[[Callable[[str], None]], None],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    seed: int,
) -> None:
    def work_in(store: Store) -> Callable[[], object]:
        monkeypatch.setenv("AUHARNESS_CACHE", str(store.cache))
        return lambda: run_mini(runs=store.runs, folds=["P1", "P3"])

    calm = Store(tmp_path / "calm")
    journal = tmp_path / "points"

    def note(name: str) -> None:
        with journal.open("a") as stream:
            stream.write(f"{name}\n")

    on_write_point(note)
    started = time.monotonic()
    work_in(calm)()  # in this process, so that the children inherit warm imports and caches
    duration_s = time.monotonic() - started
    expected = calm.results()
    points = Counter(journal.read_text().split())
    files = {name.partition(":")[0] for name in points}
    assert {"run.json", "unit.json", "predictions.parquet", "weights.safetensors", "checkpoint.safetensors"} < files
    assert {"crops", "bp4d-3fold.md", "log.txt", "metrics.json", "plan.json", "env.json"} < files

    chance = random.Random(seed)
    plan = _plan(list(points), chance)
    kills, stores = 0, 0
    store: Store | None = None
    for point in plan:
        killed = False
        while not killed:
            if store is None:
                stores += 1
                store = Store(tmp_path / f"store{stores}")
            work = work_in(store)
            if point is None:
                on_write_point(lambda name: None)
                killed = not in_child(work, kill_after_s=chance.uniform(0, duration_s))
            else:
                on_write_point(_kill_at(point, chance.randint(1, 1 + points[point] // 4)))
                killed = not in_child(work)
            store.check()
            if not killed:
                assert store.results() == expected
                assert store.leftovers() == []
                store = None
        kills += 1
    if store is not None:
        on_write_point(lambda name: None)
        assert in_child(work_in(store))
        store.check()
        assert store.results() == expected
        assert store.leftovers() == []
    assert kills >= 50
    assert stores >= 3


def _plan(points: list[str], chance: random.Random) -> list[str | None]:
    """Return every point once and None for each random moment, dealt to a few runs, in each in the order of a run."""
    kills: list[tuple[float, str | None]] = [(place, point) for place, point in enumerate(points)]
    kills += [(chance.uniform(0, len(points)), None) for _ in range(max(RANDOM_MOMENTS, 50 - len(points)))]
    chance.shuffle(kills)
    hands = [sorted(kills[first::HANDS], key=lambda kill: kill[0]) for first in range(HANDS)]
    return [point for hand in hands for _, point in hand]


def _kill_at(point: str, occurrence: int) -> Callable[[str], None]:
    """Return a write point that kills its process when it is called with this name for the n-th time."""
    seen = 0

    def kill(name: str) -> None:
        nonlocal seen
        seen += name == point
        if seen == occurrence:
            os.kill(os.getpid(), signal.SIGKILL)

    return kill
