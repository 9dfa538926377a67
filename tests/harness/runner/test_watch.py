"""Installed observers see a run and cannot stop it."""

import json
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from auharness.errors import PluginError
from auharness.results.store import RunFolder
from auharness.runner import RunResult

SPY = """
from auharness import hookimpl

seen = []

@hookimpl
def auharness_run_started(run_dir, request):
    seen.append(("run_started", run_dir.name, request["model"], request["protocol"]))

@hookimpl
def auharness_epoch_finished(unit_id, epoch, values):
    seen.append(("epoch_finished", unit_id, epoch, sorted(values)))

@hookimpl
def auharness_unit_finished(unit_id, status):
    seen.append(("unit_finished", unit_id, status))

@hookimpl
def auharness_run_finished(status):
    seen.append(("run_finished", status))
"""
GRUMBLER = """
from auharness import hookimpl

@hookimpl
def auharness_run_started(run_dir):
    raise ValueError("not today")

@hookimpl
def auharness_epoch_finished(epoch):
    raise ValueError(f"not epoch {epoch}")
"""


@pytest.fixture
def install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[str, str], None]]:
    """Install an observer as a distribution of its own."""
    installed: list[str] = []

    def write(name: str, source: str) -> None:
        site = tmp_path / f"site-{name}"
        info = site / f"{name}-1.0.dist-info"
        info.mkdir(parents=True)
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n")
        (info / "entry_points.txt").write_text(f"[auharness.hooks]\n{name} = {name}\n")
        (site / f"{name}.py").write_text(source)
        monkeypatch.syspath_prepend(site)
        installed.append(name)

    yield write
    for name in installed:
        sys.modules.pop(name, None)


def test_an_observer_sees_the_run_from_start_to_end(
    run_mini: Callable[..., RunResult], install: Callable[[str, str], None]
) -> None:
    install("spy", SPY)
    result = run_mini(folds=["P1", "P2"])
    first, second = (ref.unit_id for ref in RunFolder(result.path).record.units)
    values = ["bce", "epoch", "epochs", "s", "train_score"]
    expected: list[tuple[object, ...]] = [("run_started", result.path.name, "small-cnn", "bp4d-3fold")]
    for unit in (first, second):
        expected += [("epoch_finished", unit, epoch, values) for epoch in (1, 2)]
        expected += [("unit_finished", unit, "finished")]
    expected += [("run_finished", "finished")]
    assert sys.modules["spy"].seen == expected

    sys.modules["spy"].seen.clear()
    run_mini(folds=["P1", "P2"], seeds=[0, 1])
    assert [call for call in sys.modules["spy"].seen if call[0] == "unit_finished"][:2] == [
        ("unit_finished", first, "kept"),
        ("unit_finished", second, "kept"),
    ]


def test_an_observer_that_raises_is_noted_and_the_run_goes_on(
    run_mini: Callable[..., RunResult], install: Callable[[str, str], None]
) -> None:
    install("grumbler", GRUMBLER)
    install("spy", SPY)
    result = run_mini(folds=["P1"])
    assert result.done == 1
    assert [call[0] for call in sys.modules["spy"].seen] == [
        "run_started",
        "epoch_finished",
        "epoch_finished",
        "unit_finished",
        "run_finished",
    ]
    events = map(json.loads, (result.path / "events.jsonl").read_text().splitlines())
    assert [event["problem"] for event in events if event["event"] == "observer_failed"] == [
        "observer 'grumbler': auharness_run_started raised ValueError: not today",
        "observer 'grumbler': auharness_epoch_finished raised ValueError: not epoch 1",
        "observer 'grumbler': auharness_epoch_finished raised ValueError: not epoch 2",
    ]


def test_an_observer_with_a_misspelled_hook_stops_the_run_before_its_first_unit(
    run_mini: Callable[..., RunResult], install: Callable[[str, str], None], tmp_path: Path
) -> None:
    install("typo", "from auharness import hookimpl\n@hookimpl\ndef auharness_run_start(run_dir): ...\n")
    with pytest.raises(PluginError, match="did you mean 'auharness_run_started'"):
        run_mini(folds=["P1"])
    assert not list(tmp_path.glob("runs/*/*/*/units/*"))
