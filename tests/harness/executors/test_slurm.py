"""Slurm's jobs as processes of this machine: submitit's own executor in its place."""

import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psutil
import pytest

from auharness.results.store import iter_runs

pytest.importorskip("submitit")

Outside = Callable[..., Any]
Command = Callable[..., "subprocess.Popen[str]"]

SCRIPT = """
    from auharness.executors.slurm import run_slurm

    # a job that is preempted gets a signal from the cluster some time before its end
    def tick():
        for action, place in specs:
            if action == "wait-once" and Path(place).is_file() and place not in told:
                told.append(place)
                os.kill(int(Path(place).read_text()), signal.SIGUSR2)

    folder = Path(specs[0][1]).parent / "jobs"
    resources = SlurmResources(cluster="local", retries=1)
    failures = run_slurm(work, specs, folder=folder, resources=resources, jobs=3, tick=tick, **given)
    print(json.dumps({"failures": failures, "told": told}))
"""


def test_jobs_do_what_local_processes_do_and_a_preempted_one_is_queued_again(outside: Outside, tmp_path: Path) -> None:
    answer = outside(SCRIPT, ["fail", "die", "wait-once", "threads"])
    fail, die, threads = answer["failures"]
    assert (fail[0][0], fail[1]) == ("fail", "refused")
    assert (threads[0][0], threads[1]) == ("threads", "1 1 1")
    assert die[0][0] == "die" and die[1].startswith("job ") and "ended without a result" in die[1]
    assert Path(die[1].rpartition(" ")[2]).is_file()  # the log that the reason names
    ends = [item for item in answer["told"] if isinstance(item, list)]
    assert sorted(name for name, _ in ends) == ["die", "fail", "threads", "wait-once"]
    assert ["wait-once", None] in ends
    assert len(list((tmp_path / "jobs").glob("*_submitted.pkl"))) == 5  # the one that died was submitted again
    assert str(tmp_path / "unit2") in answer["told"]  # it was preempted


@pytest.mark.nightly
def test_a_preempted_run_cancels_its_jobs_and_goes_on_to_the_same_end(
    command_outside: Command,
    descendants: Callable[..., list[psutil.Process]],
    wait_for: Callable[[Callable[[], bool]], None],
    tmp_path: Path,
) -> None:
    runs = {name: tmp_path / name for name in ("slurm", "local")}
    options = ("--runs", runs["slurm"], "--executor", "slurm", "--resources", "cluster=local", "--jobs", 1)
    spread = command_outside(*options, epochs=30)
    wait_for(lambda: any(runs["slurm"].glob("*/*/*/units/*/scratch/log.txt")))
    # the signal that a cluster sends to a job some time before it ends it
    os.kill(descendants(spread, f"{sys.executable} -u -m submitit.core._submit")[0].pid, signal.SIGUSR2)
    wait_for(lambda: any(runs["slurm"].glob("*/*/*/units/*/unit.json")))
    wait_for(lambda: any(runs["slurm"].glob("*/*/*/units/*/scratch/log.txt")))
    family = descendants(spread)
    os.kill(spread.pid, signal.SIGTERM)
    out, err = spread.communicate(timeout=60)
    assert (spread.returncode, out, len(err.splitlines())) == (75, "", 1), err
    wait_for(lambda: not any(member.is_running() for member in family))
    (run,) = iter_runs(runs["slurm"])
    assert 1 <= len(run.finished()) < 3
    assert not list(run.path.glob("units/*/failed.txt"))
    assert any("Requeued job" in path.read_text() for path in (run.path / "jobs").glob("*_log.*"))

    assert command_outside(*options, epochs=30).wait(timeout=600) == 0
    assert command_outside("--runs", runs["local"], "--jobs", 1, epochs=30).wait(timeout=600) == 0
    (other,) = iter_runs(runs["local"])
    found, expected = (
        {unit.unit_id: (unit.files["predictions.parquet"], unit.files["weights.safetensors"]) for unit in one}
        for one in (run.finished(), other.finished())
    )
    assert found == expected and len(found) == 3


def test_a_machine_without_slurm_says_so(tmp_path: Path) -> None:
    import shutil

    from auharness.errors import UsageError
    from auharness.executors.resources import SlurmResources
    from auharness.executors.slurm import run_slurm

    if shutil.which("srun") is not None:
        pytest.skip("this machine has Slurm")
    with pytest.raises(UsageError, match="no 'srun' on this machine"):
        run_slurm(str, ["spec"], folder=tmp_path, resources=SlurmResources())
