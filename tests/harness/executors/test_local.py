import os
import signal
from pathlib import Path

import pytest

from auharness.executors.local import DIED, run_local


def work(spec: tuple[str, str]) -> str | None:
    action, path = spec
    first = not Path(path).exists()
    Path(path).write_text("seen")
    if action == "die" or (action == "die-once" and first):
        os.kill(os.getpid(), signal.SIGKILL)
    return "refused" if action == "fail" else None


@pytest.mark.parametrize("jobs", [1, 2])
def test_a_failed_unit_is_returned_with_its_reason_and_the_others_run(tmp_path: Path, jobs: int) -> None:
    specs = [("fail", str(tmp_path / "a")), ("ok", str(tmp_path / "b")), ("ok", str(tmp_path / "c"))]
    assert run_local(work, specs, jobs=jobs) == [(specs[0], "refused")]
    assert sorted(p.name for p in tmp_path.iterdir()) == ["a", "b", "c"]


def test_the_death_of_a_worker_costs_only_its_own_unit(tmp_path: Path) -> None:
    actions = ["die", "ok", "die-once", "ok"]
    specs = [(action, str(tmp_path / f"{i}")) for i, action in enumerate(actions)]
    assert run_local(work, specs, jobs=2) == [(specs[0], DIED)]
    assert len(list(tmp_path.iterdir())) == 4
