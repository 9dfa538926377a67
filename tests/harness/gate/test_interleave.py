import os
import sys
import time
from pathlib import Path

import pytest

from auharness.errors import DataError
from auharness.gate.interleave import ROUND, Tree, run_rounds, take_sample
from auharness.gate.policy import Command

FAST = ("{python}", "-S", "-E", "-c")


def _trees(folder: Path) -> dict[str, Tree]:
    for name in ("base", "head"):
        (folder / name / "src").mkdir(parents=True)
        (folder / name / "src" / "marked.py").write_text(f"NAME = {name!r}\n")
    return {name: Tree(folder / name, ("src",)) for name in ("base", "head")}


def test_processes_run_in_turn_each_in_its_own_tree_after_one_that_is_not_counted(tmp_path: Path) -> None:
    log = tmp_path / "log"
    line = "f'{marked.NAME} {pathlib.Path().resolve().name}\\n'"
    code = f"import marked, pathlib; open({str(log)!r}, 'a').write({line})"
    command = Command(title="it", argv=("{python}", "-S", "-c", code))
    found = run_rounds(command, _trees(tmp_path), rounds=2, time_limit_s=60)
    lines = [line.split() for line in log.read_text().splitlines()]
    assert all(imported == folder for imported, folder in lines)
    assert [imported for imported, _ in lines] == ["base", "head", *ROUND, *ROUND]
    assert {name: len(samples) for name, samples in found.items()} == {"base": 4, "head": 4}
    assert all(sample.times["it"] > 0 for samples in found.values() for sample in samples)


def test_the_sample_is_processor_time_and_no_waiting(tmp_path: Path) -> None:
    def seconds(code: str) -> float:
        return take_sample(Command(title="it", argv=(*FAST, code)), Tree(tmp_path), time_limit_s=60).times["it"]

    idle = seconds("import time; time.sleep(0.5)")
    busy = seconds("import time\nwhile time.process_time() < 0.5: pass")
    assert idle < 0.4 < 0.5 <= busy < 2


def test_a_file_of_the_process_holds_its_samples(tmp_path: Path) -> None:
    text = '{"machine_info": {"node": "a"}, "benchmarks": [{"name": "scan", "stats": {"data": [0.3, 0.2]}}]}'
    code = f"import sys; open(sys.argv[1], 'w').write({text!r})"
    sample = take_sample(Command(title="it", argv=(*FAST, code, "{out}")), Tree(tmp_path), time_limit_s=60)
    assert (sample.times, sample.machine) == ({"scan": 0.2}, {"node": "a"})


@pytest.mark.parametrize(
    ("argv", "message"),
    [
        ((*FAST, "print('reason'); raise SystemExit(3)"), "exit code 3: reason"),
        ((*FAST, "raise SystemExit(1)"), "exit code 1: no output"),
        ((*FAST, "pass", "{out}"), "expected a file of --benchmark-json"),
        ((*FAST, "import sys; open(sys.argv[1], 'w').write('{\"benchmarks\": []}')", "{out}"), "no benchmark ran"),
        (("/no/such/program",), "cannot be started"),
    ],
)
def test_a_process_that_fails_is_an_error_with_its_last_line(
    tmp_path: Path, argv: tuple[str, ...], message: str
) -> None:
    with pytest.raises(DataError, match=message):
        take_sample(Command(title="it", argv=argv), Tree(tmp_path), time_limit_s=60)


def test_a_process_that_hangs_is_ended_with_all_that_it_started(tmp_path: Path) -> None:
    held = tmp_path / "held"
    os.mkfifo(held)
    pipe = os.open(held, os.O_RDONLY | os.O_NONBLOCK)
    child = f"import time; pipe = open({str(held)!r}, 'w'); time.sleep(60)"
    code = f"import subprocess, sys, time; subprocess.Popen([{sys.executable!r}, '-c', {child!r}]); time.sleep(60)"
    start = time.monotonic()
    with pytest.raises(DataError, match=r"took longer than 1 s"):
        take_sample(Command(title="it", argv=(*FAST, code)), Tree(tmp_path), time_limit_s=1)
    assert time.monotonic() - start < 30
    while _is_held(pipe):
        assert time.monotonic() - start < 40, "the child lives on"
        time.sleep(0.01)
    os.close(pipe)


def _is_held(pipe: int) -> bool:
    """Whether a process has the pipe open to write into it."""
    try:
        return os.read(pipe, 1) != b""
    except BlockingIOError:
        return True
