"""Timing with real processes on the smallest model, and with workers that misbehave."""

import json
import sys

import pytest
import torch

from auharness.bench import suite
from auharness.bench.case import Case
from auharness.bench.rows import Count, Time, read_rows
from auharness.bench.suite import Options, run_bench
from auharness.bench.summary import broken, speeds
from auharness.errors import DataError, IntegrityError
from auharness.results.lines import lines_text
from auharness.scaling import process

CASE = Case("small-cnn", ("tiny",), "bp4d")
POINT = {"best_ms": 1.0, "p50_ms": 1.0, "p95_ms": 2.0, "samples": 9, "clock": "cpu time"}


@pytest.fixture
def worker(monkeypatch, tmp_path):
    """Put a script in the worker's place; `JOB` is what it was asked to do, `say` prints a line."""

    def replace(script: str) -> None:
        path = tmp_path / "worker.py"
        head = "import json, sys, os, time\nJOB = json.loads(sys.stdin.readline())\n"
        head += "def say(**line): print(json.dumps(line), flush=True)\n"
        path.write_text(head + script, encoding="utf-8")
        real = process.subprocess.Popen
        monkeypatch.setattr(
            process.subprocess, "Popen", lambda command, **options: real([sys.executable, str(path)], **options)
        )

    return replace


def run(tmp_path, *cases, told=None, remark=lambda text: None, **options):
    given = {"modes": ("eager",), "batches": (1, 2, 4, 8), "seconds": 0.0, **options}
    tell = (lambda row: None) if told is None else told.append
    return run_bench(cases or (CASE,), tmp_path / "rows.jsonl", Options(**given), tell=tell, remark=remark)


def times(rows):
    return [(row.batch, row.status) for row in rows if isinstance(row, Time)]


def test_a_model_is_counted_and_timed_and_not_measured_again(tmp_path):
    told = []
    rows = run(tmp_path, batches=(1,))
    assert [type(row) for row in rows] == [Count, Time]
    count, time = rows
    assert time.network == count.network
    assert 0 < time.best_ms <= time.p50_ms <= time.p95_ms
    assert (time.clock, time.machine.kind, time.machine.threads, time.dtype) == ("cpu time", "cpu", 1, "float32")
    assert time.machine.versions["torch"] == torch.__version__
    assert time.peak_bytes == count.peak_bytes
    assert run(tmp_path, batches=(1,), told=told) == rows == read_rows([tmp_path / "rows.jsonl"])
    assert len(told) == 2
    assert len((tmp_path / "rows.jsonl").read_text().splitlines()) == 2  # nothing was written twice


def test_times_of_other_code_are_taken_again_and_it_is_said_once(edited_plugin, worker, tmp_path):
    worker(f"say(built=True)\nsay(point={POINT!r})")
    other, remarks = Case("pixel-probe", ("tiny",), "bp4d"), []
    first = run(tmp_path, CASE, other, batches=(1, 2), remark=remarks.append)
    edited_plugin("small-cnn")
    worker(f"say(built=True)\nsay(point={POINT | {'p50_ms': 3.0}!r})")
    again = run(tmp_path, CASE, other, batches=(1, 2), remark=remarks.append)
    assert [(row.model, row.p50_ms) for row in again if isinstance(row, Time)] == [
        *[("small-cnn", 3.0)] * 2,
        *[("pixel-probe", 1.0)] * 2,
    ]
    assert remarks == [f"small-cnn tiny bp4d: times in {tmp_path / 'rows.jsonl'} are of other code; measured again"]
    assert len({row.code for row in (*first, *again)}) == 3 and all(row.code for row in again)
    assert read_rows([tmp_path / "rows.jsonl"]) == again


def test_a_row_that_does_not_know_its_code_is_measured_again(worker, tmp_path):
    worker(f"say(built=True)\nsay(point={POINT!r})")
    path = tmp_path / "rows.jsonl"
    rows = run(tmp_path, batches=(1,))
    path.write_text(lines_text(row.model_copy(update={"code": ""}) for row in rows))
    assert not any(row.code for row in read_rows([path]))
    assert run(tmp_path, batches=(1,)) == rows == read_rows([path])


def test_counting_alone_starts_no_process(tmp_path, worker):
    worker("sys.exit(1)")
    assert [type(row) for row in run(tmp_path, device=None)] == [Count]


def test_the_batch_grows_until_throughput_does_not(worker, tmp_path):
    # 1, 2 and 4 samples take as long as one, 8 take twice as long
    worker(f"point = {POINT!r}\npoint['p50_ms'] = 1.0 if JOB['batch'] < 8 else 2.0\nsay(built=True)\nsay(point=point)")
    rows = run(tmp_path, batches=(1, 2, 4, 8, 16))
    assert times(rows) == [(1, "ok"), (2, "ok"), (4, "ok"), (8, "ok")]
    (speed,) = speeds(rows)
    assert (speed.first.p50_ms, speed.best.batch, speed.best.per_second) == (1.0, 4, 4000.0)


def test_a_point_over_the_limit_is_a_result_and_a_longer_limit_tries_again(worker, tmp_path):
    worker("say(built=True)\ntime.sleep(60)")
    rows = run(tmp_path, limit_s=0.2)
    assert times(rows) == [(1, "time limit")]
    assert not any(map(broken, rows))
    (speed,) = speeds(rows)
    assert (speed.best, speed.note) == (None, "time limit: stopped after 0 s")
    worker(f"say(built=True)\nsay(point={POINT!r})")
    assert times(run(tmp_path, limit_s=0.2, batches=(1,))) == [(1, "time limit")]
    assert times(run(tmp_path, limit_s=0.5, batches=(1,))) == [(1, "ok")]


def test_memory_that_runs_out_ends_the_growth_and_breaks_nothing(worker, tmp_path):
    worker(
        "say(built=True)\n"
        f"if JOB['batch'] == 1: say(point={POINT!r})\n"
        "else: say(status='out of memory', note='CUDA out of memory')"
    )
    rows = run(tmp_path)
    assert times(rows) == [(1, "ok"), (2, "out of memory")]
    assert speeds(rows)[0].note == "batch 2: out of memory: CUDA out of memory"
    assert not any(map(broken, rows))


def test_a_batch_that_would_not_fit_into_a_cpu_s_memory_is_not_tried(monkeypatch, worker, tmp_path):
    worker("sys.exit(1)")
    monkeypatch.setattr(suite.psutil, "virtual_memory", lambda: type("Free", (), {"available": 1000}))
    (row,) = [row for row in run(tmp_path) if isinstance(row, Time)]
    assert (row.status, row.note) == ("out of memory", "needs about 0.0 GiB, 0.0 GiB are free")


def test_a_model_that_fails_does_not_stop_the_others(worker, tmp_path):
    worker(f"if JOB['case']['model'] == 'small-cnn': sys.exit('no such thing')\nsay(built=True)\nsay(point={POINT!r})")
    rows = run(tmp_path, CASE, Case("pixel-probe", ("tiny",), "bp4d"), batches=(1,))
    failed, fine = [row for row in rows if isinstance(row, Time)]
    assert (failed.model, failed.status, failed.note) == ("small-cnn", "failed", "no such thing")
    assert (fine.model, fine.status) == ("pixel-probe", "ok")
    assert [broken(row) for row in (failed, fine)] == [True, False]


def test_a_killed_process_is_said_to_be_one(worker, tmp_path):
    worker("os.kill(os.getpid(), 9)")
    assert times(run(tmp_path)) == [(1, "killed")]


def test_a_plugin_may_print(worker, tmp_path):
    worker(f"print('hello')\nsay(built=True)\nsay(point={POINT!r})")
    assert times(run(tmp_path, batches=(1,))) == [(1, "ok")]


def test_what_a_worker_is_asked(worker, tmp_path):
    worker(f"open({str(tmp_path / 'job.json')!r}, 'w').write(json.dumps(JOB))\nsay(point={POINT!r})")
    run(tmp_path, Case("small-cnn", ("tiny",), "bp4d", {"widths": [8]}, side=32), batches=(1,), dtype="bfloat16")
    job = json.loads((tmp_path / "job.json").read_text())
    assert job["case"] == {
        "model": "small-cnn", "presets": ["tiny"], "dataset": "bp4d", "settings": {"widths": [8]}, "side": 32,
    }  # fmt: skip
    assert (job["device"], job["dtype"], job["mode"], job["batch"], job["threads"]) == (
        "cpu",
        "bfloat16",
        "eager",
        1,
        1,
    )


@pytest.mark.skipif(torch.cuda.is_available(), reason="asks for a machine without a GPU")
def test_a_missing_gpu_is_one_line(tmp_path):
    with pytest.raises(DataError, match="--device cuda, but torch sees no CUDA device"):
        run(tmp_path, device="cuda")


def test_a_file_that_cannot_be_written_is_named_before_anything_is_measured(tmp_path):
    with pytest.raises(DataError, match=r"cannot be written .*give another file with --out"):
        run_bench([CASE], tmp_path, Options())


def test_a_line_that_is_no_row_is_named(tmp_path):
    (tmp_path / "rows.jsonl").write_text('{"what": "count"}\n')
    with pytest.raises(IntegrityError, match=r"rows.jsonl line 1 is not a row of 'auharness bench'"):
        read_rows([tmp_path / "rows.jsonl"])


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
@pytest.mark.parametrize("mode", ["eager", "compiled"])
def test_a_gpu_times_every_batch_in_a_process_of_its_own(tmp_path, mode):
    rows = run(tmp_path, device="cuda", modes=(mode,), seconds=0.1, batches=(1, 64))
    assert all(row.status == "ok" for row in rows)
    first = speeds(rows)[0].first
    assert (first.clock, first.machine.kind) == ("cuda events", "cuda")
    assert first.machine.driver
    assert first.peak_bytes >= rows[0].weight_bytes
