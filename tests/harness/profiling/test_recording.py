import json
import re
from collections import Counter

import pytest
import torch

from auharness.ops.ttt_linear import ttt_linear_backend

# the phases of the Trace Event Format that torch writes, and what each must have
FIELDS = {
    "X": {"name", "ph", "ts", "dur", "pid", "tid"},
    "M": {"name", "ph", "pid", "args"},
    "i": {"name", "ph", "ts", "pid", "tid", "s"},
    "s": {"name", "ph", "ts", "pid", "tid", "id"},
    "f": {"name", "ph", "ts", "pid", "tid", "id"},
}


def strict(text):
    def refuse(constant):
        raise ValueError(f"{constant} is no JSON")

    return json.loads(text, parse_constant=refuse)


def test_the_file_is_called_as_the_tensorboard_plugin_wants_it(profiled):
    consts = pytest.importorskip("torch_tb_profiler.consts")
    worker, time = consts.WORKER_PATTERN.match(profiled.trace.name).groups()
    assert worker == "au-ttt-tiny-training-cpu"
    assert re.fullmatch(r"\.\d{19}", time)


def test_every_event_has_what_the_chrome_trace_event_format_asks_for(profiled):
    trace = strict(profiled.trace.read_text(encoding="utf-8"))
    assert trace["displayTimeUnit"] in ("ms", "ns")
    for event in trace["traceEvents"]:
        assert FIELDS[event["ph"]] <= event.keys(), event
        assert isinstance(event.get("ts", 0.0), float | int) and event.get("dur", 0) >= 0
        assert isinstance(event["name"], str) and isinstance(event.get("args", {}), dict)


def test_slices_of_a_thread_lie_inside_each_other(profiled):
    # Perfetto drops a slice that begins inside another and ends after it
    threads = {}
    for event in profiled.events:
        if event["ph"] == "X":
            threads.setdefault((event["pid"], event["tid"]), []).append((event["ts"], -event["dur"]))
    assert sum(map(len, threads.values())) > 1000
    for slices in threads.values():
        ends = []
        for begin, length in sorted(slices):
            while ends and ends[-1] <= begin + 1e-3:
                ends.pop()
            assert not ends or begin - length <= ends[-1] + 1e-3
            ends.append(begin - length)


def test_steps_phases_and_operators_of_the_harness_have_names(profiled):
    names = Counter((event["cat"], event["name"]) for event in profiled.events if event["ph"] == "X" and "cat" in event)
    assert [names["user_annotation", f"ProfilerStep#{step}"] for step in (0, 1, 2, 3)] == [0, 1, 1, 0]
    for phase in ("forward", "loss", "backward", "optimiser"):
        assert names["user_annotation", f"auharness::{phase}"] == 2
    backend = profiled.profile.summary["backends"]["ttt_linear"]
    assert backend == ttt_linear_backend(torch.zeros(1, 2, 8, 16), mini_batch=4)
    # an operator, so that TensorBoard lists it; a block each of the main and of the RoI branch, two steps
    assert names["cpu_op", f"auharness::ttt_linear[{backend}]"] == 4


def test_what_runs_before_the_recording_is_not_in_it(record):
    calls = []
    found = record(lambda: calls.append(torch.ones(2, 2) @ torch.ones(2, 2)))
    assert len(calls) > 3
    (product,) = [event for event in found.events if event.key == "aten::mm"]
    assert product.count == 3
    assert found.plain.samples >= 2 and found.backends == {}
