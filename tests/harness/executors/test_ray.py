"""Ray in processes of its own: a cluster that the run starts, and one that runs already."""

import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from auharness.results.atomic import file_digest
from auharness.results.store import RunFolder, iter_runs

pytest.importorskip("ray")

Outside = Callable[..., Any]
Command = Callable[..., "subprocess.Popen[str]"]
Descendants = Callable[..., list[psutil.Process]]
Wait = Callable[[Callable[[], bool]], None]

LOOPBACK = {"RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0", "RAY_AUTH_MODE": "disabled"}
"""A cluster that only this machine can reach."""

SCRIPT = """
    from auharness.executors.ray import run_ray

    before = signal.getsignal(signal.SIGTERM)
    failures = run_ray(work, specs, resources=RayResources(address="local", retries=1), jobs=2, **given)
    print(json.dumps({"failures": failures, "told": told, "kept": signal.getsignal(signal.SIGTERM) is before}))
"""


def test_a_cluster_of_our_own_does_what_local_processes_do(outside: Outside) -> None:
    answer = outside(SCRIPT, ["fail", "ok", "die-once", "raise", "die", "threads"])
    died = "its worker died each time it was tried: killed or out of memory (WorkerCrashedError)"
    assert [(spec[0], reason) for spec, reason in answer["failures"]] == [
        ("fail", "refused"),
        ("raise", "ValueError: not today"),
        ("die", died),
        ("threads", "1 1 1"),
    ]
    ends = [("die", died), ("die-once", None), ("fail", "refused"), ("ok", None), ("raise", "ValueError: not today")]
    assert sorted(map(tuple, answer["told"])) == [*ends, ("threads", "1 1 1")]
    assert answer["kept"] is True  # ray would end the process at SIGTERM


@pytest.fixture
def cluster(tmp_path: Path) -> Iterator[tuple["subprocess.Popen[bytes]", str]]:
    """`ray start` with two workers of one core each; the process and its address."""
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        port = found.getsockname()[1]
    # the paths of ray's sockets must be short
    with tempfile.TemporaryDirectory(prefix="ray", ignore_cleanup_errors=True) as folder:
        words = ["start", "--head", "--block", f"--port={port}", "--num-cpus=2", "--include-dashboard=false"]
        variables = {"HOME": str(tmp_path), "RAY_USAGE_STATS_ENABLED": "0", **LOOPBACK}
        head = subprocess.Popen(
            [sys.executable, "-m", "ray.scripts.scripts", *words, f"--temp-dir={folder}"],
            env={**os.environ, **variables},
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        try:
            yield head, f"127.0.0.1:{port}"
        finally:
            family = psutil.Process(head.pid).children(recursive=True)
            head.terminate()
            psutil.wait_procs([psutil.Process(head.pid)], timeout=30)
            for member in family:
                if member.is_running():
                    member.kill()
            head.wait()


@pytest.mark.nightly
def test_nine_units_on_two_workers_of_which_one_is_killed_end_as_on_this_machine(
    cluster: tuple["subprocess.Popen[str]", str],
    command_outside: Command,
    descendants: Descendants,
    wait_for: Wait,
    tmp_path: Path,
) -> None:
    head, address = cluster
    wait_for(lambda: len(descendants(head, "ray::")) >= 2)  # the agents of a node are its last processes
    runs = {name: tmp_path / name for name in ("ray", "local")}
    options = ("--seeds", 3, "--runs", runs["ray"], "--executor", "ray")
    spread = command_outside(*options, epochs=40, RAY_ADDRESS=address, **LOOPBACK)
    wait_for(lambda: "epoch" in events(runs["ray"]))
    victim = descendants(head, "ray::execute")[0]
    os.kill(victim.pid, signal.SIGKILL)
    assert spread.communicate(timeout=600)[1] == "" and spread.returncode == 0
    assert descendants(head, "ray::execute") == []

    alone = command_outside("--seeds", 3, "--runs", runs["local"], "--jobs", 1, epochs=40)
    assert alone.communicate(timeout=600)[1] == "" and alone.returncode == 0
    assert len(results(runs["ray"])) == 9
    assert results(runs["ray"]) == results(runs["local"])
    assert board(runs["ray"]) == board(runs["local"])
    started, finished = (events(runs["ray"]).count(kind) for kind in ("started", "unit_finished"))
    assert (started, finished) == (10, 9)


@pytest.mark.nightly
@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 75), (signal.SIGINT, 130)])
def test_a_run_that_is_asked_to_end_leaves_no_process_and_goes_on(
    command_outside: Command, descendants: Descendants, wait_for: Wait, tmp_path: Path, number: int, code: int
) -> None:
    runs = tmp_path / "runs"
    options = ("--seeds", 2, "--runs", runs, "--jobs", 2)
    spread = command_outside(*options, "--executor", "ray", epochs=20, RAY_ADDRESS="")
    wait_for(lambda: "unit_finished" in events(runs))
    family = descendants(spread)
    spread.send_signal(number)
    out, err = spread.communicate(timeout=60)
    assert (spread.returncode, out) == (code, "")
    assert len(err.splitlines()) == 1, err
    wait_for(lambda: not any(member.is_running() for member in family))
    (run,) = iter_runs(runs)
    kept = {unit.unit_id: unit.files for unit in run.finished()}
    assert 1 <= len(kept) < 6
    again = command_outside(*options, epochs=20)
    assert again.wait(timeout=600) == 0
    assert {unit.unit_id: unit.files for unit in run.finished() if unit.unit_id in kept} == kept
    assert run.is_complete


def events(runs: Path) -> list[str]:
    """Kinds of the events of the one run."""
    return [str(event["event"]) for path in runs.glob("*/*/*/events.jsonl") for event in _all(RunFolder(path.parent))]


def _all(run: RunFolder) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (run.path / "events.jsonl").read_text().splitlines() if line.endswith("}")]


def results(runs: Path) -> dict[str, dict[str, str]]:
    """Digests of what each unit came to."""
    (run,) = iter_runs(runs)
    return {
        unit.unit_id: {name: digest for name, digest in unit.files.items() if name != "log.txt"}
        for unit in run.finished()
    }


def board(runs: Path) -> dict[str, str]:
    """Digests of the files of the board."""
    return {path.name: file_digest(path) for path in sorted((runs / "leaderboard").glob("[!.]*"))}
