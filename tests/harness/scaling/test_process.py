"""Workers as modules of a folder of the test."""

import os
import time
from textwrap import dedent

import pytest

from auharness.scaling.process import started


@pytest.fixture
def module(monkeypatch, tmp_path):
    """Write a module that `python -m acme_worker` finds."""
    found = os.pathsep.join(filter(None, (str(tmp_path), os.environ.get("PYTHONPATH"))))
    monkeypatch.setenv("PYTHONPATH", found)

    def write(source):
        (tmp_path / "acme_worker.py").write_text(dedent(source))
        return "acme_worker"

    return write


def test_answers_are_the_objects_that_it_prints(module):
    echo = """
        import sys
        print("loading weights")
        print(sys.stdin.readline(), end="")
        sys.exit("no more\\nreally")
    """
    with started(module(echo), seconds=60) as worker:
        assert list(worker.answers({"batch": 4})) == [{"batch": 4}]
        assert (worker.wait(), worker.last_words(), worker.was_killed()) == (1, "really", False)


def test_one_that_ends_before_it_is_asked_tells_its_exit_status(module):
    with started(module("raise SystemExit(7)"), seconds=60) as worker:
        worker.wait()
        # more than a pipe holds
        assert list(worker.answers({"cases": "x" * 1_000_000})) == []
        assert worker.last_words() == "exit 7"


def test_it_does_not_outlive_the_body(module, tmp_path):
    beat = f"""
        import time
        for _ in range(600):
            open({str(tmp_path / "beat")!r}, "a").write("x")
            time.sleep(0.05)
    """
    with pytest.raises(KeyboardInterrupt), started(module(beat), seconds=60):
        while not (tmp_path / "beat").exists():
            time.sleep(0.01)
        raise KeyboardInterrupt
    beats = (tmp_path / "beat").read_text()
    time.sleep(0.2)
    assert (tmp_path / "beat").read_text() == beats


def test_the_clock_ends_it(module):
    with started(module("import time\ntime.sleep(600)"), seconds=0.2) as worker:
        assert list(worker.answers({})) == []
        worker.wait()
        assert worker.clock.over and worker.was_killed()


def test_a_variable_of_the_user_comes_before_the_suite_s(module, monkeypatch):
    monkeypatch.setenv("ACME_SET", "user")
    told = "import json, os\nprint(json.dumps({name: os.environ[name] for name in ('ACME_SET', 'ACME_OWN')}))"
    with started(module(told), seconds=60, environment={"ACME_SET": "suite", "ACME_OWN": "suite"}) as worker:
        assert list(worker.answers({})) == [{"ACME_SET": "user", "ACME_OWN": "suite"}]
