"""TensorBoard's own plugin must read what is written: once by its classes, once by a server that is asked over HTTP."""

import gzip
import json
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.parse
import urllib.request

import pytest

pytest.importorskip("torch_tb_profiler")

PATIENCE_S = 120
WORKER = "au-ttt-tiny-training-cpu"


class Server:
    """TensorBoard on a free port of this machine, as a user starts it."""

    def __init__(self, logs, log):
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = probe.getsockname()[1]
        self.until = time.monotonic() + PATIENCE_S
        self.log = log
        words = ["--logdir", str(logs), "--host", "127.0.0.1", "--port", str(self.port), "--load_fast", "false"]
        with log.open("wb") as out:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "tensorboard.main", *words], stdout=out, stderr=subprocess.STDOUT
            )

    def ask(self, route, **query):
        """Return what the profiler's plugin answers."""
        url = f"http://127.0.0.1:{self.port}/data/plugin/pytorch_profiler/{route}?{urllib.parse.urlencode(query)}"
        with urllib.request.urlopen(url, timeout=20) as answer:
            data = answer.read()
            packed = answer.headers.get("Content-Encoding") == "gzip"
        return json.loads(gzip.decompress(data) if packed else data)

    def loaded(self):
        """Wait until the plugin has read all runs and return their names."""
        while time.monotonic() < self.until and self.process.poll() is None:
            try:
                found = self.ask("runs")
            except (urllib.error.URLError, ConnectionError):
                found = {"runs": [], "loading": True}
            if found["runs"] and not found["loading"]:
                return found["runs"]
            time.sleep(0.2)
        raise AssertionError(f"TensorBoard loaded no run: {self.log.read_text()[-2000:]}")

    def stop(self):
        self.process.terminate()
        try:
            self.process.wait(timeout=10)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()


@pytest.fixture
def server(profiled, tmp_path, monkeypatch):
    # tests have no network; this one talks to its own child
    monkeypatch.setattr(socket.socket, "connect", socket.SocketType.connect)
    started = Server(profiled.folder.parent, tmp_path / "tensorboard.log")
    yield started
    started.stop()


@pytest.mark.nightly
def test_tensorboard_with_the_plugin_loads_the_trace(server, profiled):
    assert server.loaded() == ["au-ttt"]
    assert server.ask("views", run="au-ttt") == ["Overview", "Operator", "Trace", "Memory"]
    assert server.ask("workers", run="au-ttt", view="Overview") == [WORKER]
    place = {"run": "au-ttt", "worker": WORKER, "span": "1"}
    assert server.ask("spans", run="au-ttt", worker=WORKER) == ["1"]
    overview = server.ask("overview", **place, view="Overview")
    assert [row[0] for row in overview["steps"]["rows"]] == ["1", "2"]
    assert {"title": "Device Type", "value": "CPU"} in overview["environments"]
    table = server.ask("operation/table", **place, view="Operator", group_by="Operation")["data"]
    backend = profiled.profile.summary["backends"]["ttt_linear"]
    calls = {row["name"]: row["calls"] for row in table}
    # over both steps
    expected = {row.name: 2 * row.calls for row in profiled.profile.rows}
    for name in ("aten::mm", "_TTTLinear", f"auharness::ttt_linear[{backend}]"):
        assert calls[name] == expected[name]
    curve = server.ask("memory_curve", **place, view="Memory")
    assert max(row[1] for row in curve["rows"]["CPU"]) == pytest.approx(
        profiled.profile.summary["peak_bytes"]["cpu"] / 2**20, rel=1e-6
    )
    assert len(server.ask("trace", **place, view="Trace")["traceEvents"]) == len(profiled.events)


def test_the_classes_of_the_plugin_read_the_trace(profiled, tmp_path):
    from torch_tb_profiler.profiler.data import RunProfileData
    from torch_tb_profiler.profiler.run_generator import RunGenerator

    data = RunProfileData.parse(WORKER, 1, str(profiled.trace), str(tmp_path))
    run = RunGenerator(WORKER, 1, data).generate_run_profile()
    assert [view.display_name for view in run.views] == ["Overview", "Operator", "Trace", "Memory"]
    assert len(run.overview["steps"]["rows"]) == 2
    names = [row["name"] for row in run.operation_table_by_name["data"]]
    assert any(name.startswith("auharness::ttt_linear[") for name in names)
