import math
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from auharness.errors import DataError
from auharness.gate.pytest_benchmark import other_machine, read_session

Write = Callable[..., Path]


def test_what_pytest_benchmark_writes_is_read(tmp_path: Path) -> None:
    (tmp_path / "test_it.py").write_text("def test_sum(benchmark):\n    benchmark(sum, range(1000))\n")
    words = ["-m", "pytest", "-q", "-p", "no:cacheprovider", "test_it.py", "--benchmark-json=out.json"]
    limits = ["--benchmark-min-time=0.00001", "--benchmark-max-time=0.01", "--benchmark-min-rounds=5"]
    # pytest-benchmark measures nothing in a worker of pytest-xdist
    alone = {name: value for name, value in os.environ.items() if not name.startswith("PYTEST_")}
    subprocess.run([sys.executable, *words, *limits], cwd=tmp_path, check=True, capture_output=True, env=alone)
    session = read_session(tmp_path / "out.json")
    (name,) = session.times
    assert name.endswith("test_it.py::test_sum")
    assert len(session.times[name]) >= 5
    assert session.best[name] == min(session.times[name]) > 0
    assert other_machine(session.machine, session.machine) == ""


@pytest.mark.parametrize("bad", [float("nan"), float("inf"), None, "1.0", True])
def test_a_time_that_is_no_number_makes_the_least_time_undefined(
    write_session: Write, tmp_path: Path, bad: object
) -> None:
    assert math.isnan(read_session(write_session(tmp_path / "a.json", [0.1, bad, 0.2])).best["bench.py::scan"])


def test_a_file_without_single_times_has_a_least_time(write_session: Write, tmp_path: Path) -> None:
    session = read_session(write_session(tmp_path / "a.json", [], min=0.25))
    assert (session.best, session.times) == ({"bench.py::scan": 0.25}, {"bench.py::scan": ()})


@pytest.mark.parametrize(
    "text", ["", "[", "[]", "{}", '{"benchmarks": 1}', '{"benchmarks": [{"name": "x"}]}', "[" * 100_000]
)
def test_another_file_is_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / "a.json").write_text(text)
    with pytest.raises(DataError, match="pytest-benchmark"):
        read_session(tmp_path / "a.json")


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"node": "b"}, "node a and b"),
        ({"cpu": {"brand_raw": "Y", "count": 2}}, "processor X and Y"),
        ({"cpu": {"brand_raw": "X", "count": 4}}, "cores 2 and 4"),
        ({"python_version": "3.13.0"}, "python CPython 3.12 and CPython 3.13"),
        ({"python_version": "3.12.9"}, ""),
    ],
)
def test_a_fingerprint_names_what_differs(
    write_session: Write, tmp_path: Path, change: dict[str, object], named: str
) -> None:
    one = read_session(write_session(tmp_path / "a.json", [0.1]))
    other = read_session(write_session(tmp_path / "b.json", [0.1], machine=change))
    assert other_machine(one.machine, other.machine) == named


def test_a_machine_that_is_not_told_is_another_one() -> None:
    assert "not told" in other_machine({}, {})
