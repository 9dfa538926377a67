import csv
from types import SimpleNamespace

import pytest
import torch

from auharness.profiling import table_csv, table_markdown
from auharness.profiling.op_table import make_rows

CPU, CUDA = SimpleNamespace(name="CPU"), SimpleNamespace(name="CUDA")


def event(key, *, device=CPU, cpu=0.0, cuda=0.0, count=2, annotation=False):
    """An average as torch's profiler gives it, microseconds over all steps."""
    names = {"key": key, "device_type": device, "count": count, "is_user_annotation": annotation}
    times = {"self_cpu_time_total": cpu, "self_device_time_total": cuda, "cpu_time_total": cpu}
    return SimpleNamespace(
        **names, **times, device_time_total=cuda, self_cpu_memory_usage=1024, self_device_memory_usage=0
    )


def test_calls_and_times_are_those_of_a_step(record):
    x = torch.ones(300, 300)
    found = record(lambda: [x @ x for _ in range(5)])
    rows = {row.name: row for row in make_rows(found.events, steps=3)}
    assert rows["aten::mm"].calls == 5 and rows["aten::mm"].kind == "op"
    assert rows["ProfilerStep"].kind == "step" and rows["ProfilerStep"].calls == 1
    assert rows["aten::mm"].share > 0.5 and rows["aten::mm"].self_cuda_ms == 0
    assert rows["aten::mm"].allocated_bytes == 5 * 300 * 300 * 4
    assert rows["aten::matmul"].total_cpu_ms > rows["aten::mm"].total_cpu_ms > rows["aten::matmul"].self_cpu_ms


def test_the_shares_of_a_real_model_sum_to_one_and_its_times_to_the_step(profiled):
    rows, summary = profiled.profile.rows, profiled.profile.summary
    assert sum(row.share for row in rows) == pytest.approx(1)
    recorded = summary["recorded_step_ms"]
    assert sum(row.self_cpu_ms for row in rows) == pytest.approx(sum(recorded) / len(recorded), rel=0.02)
    assert [row.share for row in rows] == sorted((row.share for row in rows), reverse=True)
    assert {"auharness::forward", "auharness::loss", "auharness::backward", "auharness::optimiser"} <= {
        row.name for row in rows if row.kind == "span"
    }


def test_on_a_gpu_the_share_is_that_of_cuda_time_and_no_kernel_counts_twice():
    rows = make_rows(
        [
            event("aten::mm", cpu=100, cuda=600),
            event("cudaLaunchKernel", cpu=900),
            event("gemm_kernel", device=CUDA, cuda=600),
            event("auharness::ttt_linear[triton]", cpu=50, cuda=200),
            event("ttt_kernel", device=CUDA, cuda=200),
            event("auharness::forward", device=CUDA, cuda=800, annotation=True),
            event("ProfilerStep*", device=CUDA, cuda=850),
            event("ProfilerStep*", cpu=10),
        ],
        steps=2,
    )
    found = {row.name: (row.kind, row.share) for row in rows}
    assert found == {
        "aten::mm": ("op", 0.75),
        "gemm_kernel": ("kernel", 0.75),
        "auharness::ttt_linear[triton]": ("span", 0.25),
        "ttt_kernel": ("kernel", 0.25),
        "cudaLaunchKernel": ("op", 0.0),
        "ProfilerStep": ("step", 0.0),
    }
    assert "self CUDA ms" in table_markdown(rows)


def test_the_tables_hold_every_row_and_the_first_rows():
    rows = make_rows([event(f"op{n}", cpu=1000 * n) for n in (1, 2, 3)], steps=2)
    read = list(csv.DictReader(table_csv(rows).splitlines()))
    assert [(row["name"], float(row["self_cpu_ms"])) for row in read] == [("op3", 1.5), ("op2", 1.0), ("op1", 0.5)]
    assert table_markdown(rows, most=1).splitlines() == [
        "| operator | kind | calls | self CPU ms | share |",
        "|---|---|---:|---:|---:|",
        "| `op3` | op | 1 | 1.500 | 50.0 % |",
    ]
