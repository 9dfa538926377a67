import csv

import numpy as np
import pytest
import torch
from torch import nn

from auharness.efficiency.memory import peak_bytes
from auharness.profiling import read_timeline
from auharness.profiling.memory_timeline import draw_timelines, read_trace, step_times, timelines_csv

MIB = 2**20


def memory(ts, change, total, *, kind=0, number=-1):
    facts = {"Bytes": change, "Total Allocated": total, "Device Type": kind, "Device Id": number}
    return {"ph": "i", "name": "[memory]", "ts": ts, "args": facts}


STEPS = [{"cat": "user_annotation", "name": f"ProfilerStep#{n}", "ts": 1000.0 * n, "dur": 900.0} for n in (1, 2)]


def test_the_peak_is_what_was_alive_at_once(record):
    def step():
        first = torch.ones(MIB)  # 4 MiB each
        second = torch.ones(2 * MIB)
        del first
        return torch.ones(MIB) is second

    trace = read_trace(record(step).trace)
    (line,) = read_timeline(trace)
    assert line.device == "cpu"
    assert line.peak_bytes == pytest.approx(12 * MIB, rel=1e-3)
    large = line.change[np.abs(line.change) >= 4 * MIB] // (4 * MIB)
    assert large[:4].tolist() == [1, 2, -1, 1] and large.tolist() == large[:6].tolist() * 3
    np.testing.assert_array_equal(np.diff(line.allocated), line.change[1:])


def test_the_peak_of_a_network_is_that_of_the_other_way_to_measure_it(record):
    module, x = nn.Sequential(nn.Linear(256, 2048), nn.GELU(), nn.Linear(2048, 256)), torch.ones(512, 256)

    def step():
        with torch.no_grad():
            return bool(module(x).sum())

    (line,) = read_timeline(read_trace(record(step).trace))
    assert line.peak_bytes == pytest.approx(peak_bytes(step, device=torch.device("cpu")), rel=0.01)


def test_a_training_step_gives_back_what_it_took(profiled):
    (line,) = read_timeline(profiled.content)
    assert profiled.profile.summary["peak_bytes"] == {"cpu": line.peak_bytes}
    assert line.peak_bytes > MIB
    assert abs(int(line.allocated[-1])) < 0.02 * line.peak_bytes


def test_devices_are_kept_apart_and_times_begin_with_the_first_step():
    events = [memory(1500, 8, 108, kind=1, number=0), memory(1400, 4, 4), memory(1200, -2, 98, kind=1, number=0)]
    cpu, cuda = read_timeline({"traceEvents": STEPS + events})
    assert (cpu.device, cuda.device) == ("cpu", "cuda:0")
    assert cuda.time_ms.tolist() == [0.2, 0.5] and cuda.allocated.tolist() == [98, 108]
    assert list(csv.reader(timelines_csv([cpu, cuda]).splitlines()))[1:] == [
        ["cpu", "0.4", "4", "4"],
        ["cuda:0", "0.2", "98", "-2"],
        ["cuda:0", "0.5", "108", "8"],
    ]


def test_the_shadow_of_a_step_on_a_gpu_is_no_step():
    shadow = {"cat": "gpu_user_annotation", "name": "ProfilerStep#1", "ts": 1300.0, "dur": 5.0}
    assert step_times({"traceEvents": [*STEPS, shadow]}) == {1: (1000.0, 900.0), 2: (2000.0, 900.0)}


def test_the_picture_is_a_png_and_needs_no_events(tmp_path):
    pytest.importorskip("matplotlib")
    for name, events in (("full", [*STEPS, memory(1100, 8, 8)]), ("empty", [])):
        trace = {"traceEvents": events}
        draw_timelines(read_timeline(trace), trace, tmp_path / name, title="t")
        assert (tmp_path / name).read_bytes().startswith(b"\x89PNG")
