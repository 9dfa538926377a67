"""The suite with real worker processes on sizes of a few tokens, and with workers that misbehave."""

import json
import sys
import time
from dataclasses import replace

import pytest
import torch

from auharness.errors import DataError
from auharness.scaling import process, suite
from auharness.scaling.case import plan
from auharness.scaling.point import read_points
from auharness.scaling.suite import Options, run_suite

OPTIONS = {"sweeps": ["length"], "tokens": 64, "mini_batches": [16], "frames": [1], "at": 16, "dtype": "float32"}


def cases(*lengths, mixers=("attention",)):
    return plan({"op": list(mixers)}, lengths=list(lengths), **OPTIONS)


@pytest.fixture
def worker(monkeypatch, tmp_path):
    """Put a script in the worker's place; `JOB` is what it was asked to do."""

    def replace(script: str) -> None:
        path = tmp_path / "worker.py"
        path.write_text(
            f"import json, sys, os, time\nJOB = json.loads(sys.stdin.readline())\n{script}", encoding="utf-8"
        )
        real = process.subprocess.Popen

        def popen(command, **options):
            return real([sys.executable, str(path)], **options)

        monkeypatch.setattr(process.subprocess, "Popen", popen)

    return replace


def test_a_suite_measures_every_case_in_both_phases_and_is_not_repeated(tmp_path):
    path, told = tmp_path / "points.jsonl", []
    options = Options("cpu", seconds=0.0)
    points = run_suite(cases(16, 32), path, options, tell=told.append)
    assert [(p.length, p.phase, p.status) for p in points] == [
        (length, phase, "ok") for length in (16, 32) for phase in ("forward", "training")
    ]
    assert points == read_points([path])
    assert all(p.backend == {"attention": "sdpa-flash"} and p.best_ms and p.floor_ms and p.peaks for p in points)
    assert all(p.error < 1e-5 for p in points)
    before = len(told)
    assert run_suite(cases(16, 32), path, options, tell=told.append) == points
    assert len(told) == before  # everything was there


def test_a_worker_that_dies_costs_one_case(worker, tmp_path):
    worker(
        """
for number, case in enumerate(JOB["cases"]):
    print(json.dumps({"begin": number}), flush=True)
    if case["length"] == 32:
        os._exit(137)
    print(json.dumps({"failed": number, "reason": "ValueError: no"}), flush=True)
"""
    )
    points = run_suite(cases(16, 32, 48), tmp_path / "points.jsonl", Options("cpu", phases=("forward",)))
    assert [(p.length, p.status, p.note) for p in points] == [
        (16, "failed", "ValueError: no"),
        (32, "killed", "the process died: out of memory?"),
        (48, "failed", "ValueError: no"),
    ]


def test_a_case_over_the_limit_is_stopped_and_longer_ones_are_not_tried(worker, tmp_path):
    worker(
        'print(json.dumps({"begin": 0}), flush=True)\nprint(json.dumps({"timed": True}), flush=True)\ntime.sleep(60)'
    )
    options = Options("cpu", phases=("forward",), limit_s=0.2)
    points = run_suite(cases(16, 32), tmp_path / "points.jsonl", options)
    assert [(p.length, p.status) for p in points] == [(16, "time limit"), (32, "time limit")]
    assert points[1].note == "16 tokens took longer than the limit"


def test_a_worker_that_does_not_start_is_one_line(worker, tmp_path):
    worker('raise SystemExit("no such thing")')
    with pytest.raises(DataError, match="the worker does not start: no such thing"):
        run_suite(cases(16), tmp_path / "points.jsonl", Options("cpu"))


@pytest.mark.skipif(torch.cuda.is_available(), reason="asks for a machine without a GPU")
def test_a_missing_gpu_is_one_line(tmp_path):
    with pytest.raises(DataError, match="--device cuda, but torch sees no CUDA device"):
        run_suite(cases(16), tmp_path / "points.jsonl", Options("cuda"))


def test_a_job_is_one_line_of_json(worker, tmp_path):
    worker(f"open({str(tmp_path / 'job.json')!r}, 'w').write(json.dumps(JOB))")
    run_suite(cases(16), tmp_path / "points.jsonl", Options("cpu", seconds=0.5))
    job = json.loads((tmp_path / "job.json").read_text(encoding="utf-8"))
    assert (job["device"], job["seconds"], job["lock"], len(job["cases"])) == ("cpu", 0.5, "", 1)


def test_no_case_is_begun_after_the_deadline_and_the_next_call_goes_on(worker, tmp_path):
    answer = 'json.dumps({"failed": number, "reason": "no"})'
    worker(
        'for number in range(len(JOB["cases"])):\n'
        '    print(json.dumps({"begin": number}), flush=True)\n'
        f"    print({answer}, flush=True)\n"
        "    time.sleep(0.3)\n"
    )
    path, early = tmp_path / "points.jsonl", Options("cpu", phases=("forward",), deadline_s=0.4)
    first = run_suite(cases(16, 32, 48), path, early)
    assert 0 < len(first) < 3
    assert len(run_suite(cases(16, 32, 48), path, Options("cpu", phases=("forward",)))) == 3


def test_what_broke_is_measured_again_and_what_ran_out_of_time_only_under_a_longer_limit(worker, tmp_path):
    path, told = tmp_path / "points.jsonl", []
    worker('print(json.dumps({"begin": 0}), flush=True)\nprint(json.dumps({"failed": 0, "reason": "no"}), flush=True)')
    options = Options("cpu", phases=("forward",), limit_s=0.3)
    run_suite(cases(16), path, options, tell=told.append)
    run_suite(cases(16), path, options, tell=told.append)
    assert [point.status for point in told] == ["failed", "failed"]
    worker(
        'print(json.dumps({"begin": 0}), flush=True)\nprint(json.dumps({"timed": True}), flush=True)\ntime.sleep(60)'
    )
    for limit in (0.3, 0.3, 0.5):
        run_suite(cases(16), path, replace(options, limit_s=limit), tell=told.append)
    assert [(point.status, point.limit_s) for point in told[2:]] == [("time limit", 0.3), ("time limit", 0.5)]


def test_another_version_is_measured_anew(point):
    machine = suite.describe(torch.device("cpu"))
    old = machine.model_copy(update={"versions": {**machine.versions, "torch": "2.0"}})
    assert point(machine=machine, code="ab").settles(machine, limit_s=1, code="ab")
    assert not point(machine=old, code="ab").settles(machine, limit_s=1, code="ab")
    assert point(machine=old).key == point(machine=machine).key  # so the new one replaces it


def test_points_of_other_code_are_measured_again_and_it_is_said_once(monkeypatch, worker, tmp_path):
    path, told, remarks = tmp_path / "points.jsonl", [], []
    worker(
        'for number in range(len(JOB["cases"])):\n'
        '    print(json.dumps({"begin": number}), flush=True)\n'
        '    print(json.dumps({"timed": True}), flush=True)\n'
        "    time.sleep(60)\n"
    )
    options = Options("cpu", phases=("forward",), limit_s=0.2)
    for digest in ("one", "one", "two"):
        monkeypatch.setattr(suite, "code_digests", lambda models, digest=digest: dict.fromkeys(models, digest))
        run_suite(cases(16, 32), path, options, tell=told.append, remark=remarks.append)
    assert [(point.length, point.code) for point in told] == [(16, "one"), (32, "one"), (16, "two"), (32, "two")]
    assert remarks == [f"2 points in {path} are of other code; measured again"]


def test_an_interruption_stops_the_workers_and_writes_nothing_more(worker, tmp_path):
    worker(
        'print(json.dumps({"begin": 0}), flush=True)\n'
        'print(json.dumps({"failed": 0, "reason": "one"}), flush=True)\n'
        'print(json.dumps({"begin": 1}), flush=True)\n'
        "time.sleep(60)\n"
    )
    path = tmp_path / "points.jsonl"

    def stop(point):
        raise KeyboardInterrupt

    started = time.monotonic()
    with pytest.raises(KeyboardInterrupt):
        run_suite(cases(16, 32), path, Options("cpu", phases=("forward",)), tell=stop)
    assert time.monotonic() - started < 10
    assert [point.length for point in read_points([path])] == [16]


def test_a_file_that_cannot_be_written_is_named_before_anything_is_measured(tmp_path):
    with pytest.raises(DataError, match=r"cannot be written .*give another file with --out"):
        run_suite(cases(16), tmp_path, Options("cpu"))
