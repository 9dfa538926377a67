"""Whole runs on small data: what they leave on disk, what they repeat, and what their results may not depend on."""

import json
import subprocess
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from safetensors.torch import load_file

import auharness
from auharness.errors import UsageError
from auharness.records import Task
from auharness.results import atomic
from auharness.results.store import RunFolder
from auharness.results.verify import verify_runs
from auharness.runner import Progress, RunResult
from auharness.runner import execute as execute_module
from auharness_plugins.models.small_cnn import SmallCNN

Run = Callable[..., RunResult]


def units_of(result: RunResult) -> dict[tuple[str, int], Path]:
    run = RunFolder(result.path)
    return {(ref.fold, ref.seed): run.unit_folder(ref.unit_id) for ref in run.record.units}


def predictions_of(result: RunResult) -> dict[tuple[str, int], pd.DataFrame]:
    return {key: pd.read_parquet(folder / "predictions.parquet") for key, folder in units_of(result).items()}


def stamps_of(result: RunResult) -> dict[tuple[str, int], tuple[int, bytes]]:
    marks = {key: folder / "unit.json" for key, folder in units_of(result).items()}
    return {key: (mark.stat().st_mtime_ns, mark.read_bytes()) for key, mark in marks.items() if mark.is_file()}


@pytest.mark.parametrize("model", ["constant", "small-cnn"])
def test_a_run_on_the_stand_in_leaves_whole_records_and_a_page_and_is_then_answered_from_disk(
    model: str, bp4d_tiny: Path, tmp_path: Path
) -> None:
    limits: dict[str, Any] = {} if model == "constant" else {"max_steps": 2}

    def run() -> RunResult:
        return auharness.run(model, "bp4d-3fold", data_size="tiny", runs=tmp_path, jobs=1, device="cpu", **limits)

    first = run()
    assert (first.kept, first.done) == (0, 3)
    assert list(units_of(first)) == [("P1", 0), ("P2", 0), ("P3", 0)]
    for folder in units_of(first).values():
        names = {path.name for path in folder.iterdir()}
        assert names == {"unit.json", "predictions.parquet", "metrics.json", "log.txt", "weights.safetensors"}
    record = RunFolder(first.path).record
    assert (record.data_origin, record.preset, record.smoke) == ("synthetic", "tiny", model != "constant")
    curves = {"curves.csv"} if model != "constant" else set()
    files = {"run.json", "plan.json", "env.json", "events.jsonl", "units"}
    assert {path.name for path in first.path.iterdir()} == files | curves
    assert verify_runs(tmp_path) == (1, [])
    assert first.page == tmp_path / "leaderboard" / "bp4d-3fold.md"
    assert model in first.page.read_text(encoding="utf-8")
    assert first.score.n_frames == 328 and first.score.n_subjects == 41

    page, stamps = first.page.read_bytes(), stamps_of(first)
    second = run()
    assert (second.kept, second.done, second.headline) == (3, 0, first.headline)
    assert second.page.read_bytes() == page and stamps_of(second) == stamps


def test_the_constant_one_scores_the_floor_that_follows_from_the_labels(run_mini: Run, bp4d_mini: Path) -> None:
    result = run_mini(model="constant", settings={})
    sheets = {path.stem[:4]: pd.read_csv(path, index_col="0") for path in bp4d_mini.glob("AUCoding/AU_OCC/*.csv")}
    aus = [str(au) for au in (1, 2, 4, 6, 7, 10, 12, 14, 15, 17, 23, 24)]
    by_fold = []
    for part in (("F001", "F002"), ("F003", "F005"), ("F004", "F006")):
        rates = pd.concat([sheets[subject][aus] for subject in part]).mean().to_numpy()
        by_fold.append(2 * rates / (1 + rates))  # F1 of the answer yes; 0 where an AU never occurs
    assert result.score.headline == pytest.approx(np.mean(by_fold))


def test_the_completion_mark_is_written_after_all_other_files(run_mini: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    points: list[str] = []
    monkeypatch.setattr(atomic, "write_point", points.append)
    run_mini(folds=["P1"])
    renamed = [point.removesuffix(":renamed") for point in points if point.endswith(":renamed")]
    unit = renamed[renamed.index("predictions.parquet") : renamed.index("unit.json") + 1]
    assert unit == ["predictions.parquet", "metrics.json", "log.txt", "weights.safetensors", "unit.json"]
    assert renamed[renamed.index("unit.json") + 1 :][-1] == "run.json"


def test_a_unit_that_another_process_finished_meanwhile_is_no_failure(
    run_mini: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    from auharness.runner import execute

    work = execute._work

    def overtaken(*arguments: Any) -> None:
        work(*arguments)
        raise FileNotFoundError("scratch/log.txt")

    monkeypatch.setattr(execute, "_work", overtaken)
    result = run_mini(model="constant", settings={"value": "prior"}, folds=["P1"])
    assert (result.kept, result.done) == (0, 1)
    assert "unit_failed" not in (result.path / "events.jsonl").read_text()


def test_a_finished_run_answers_quickly_and_without_torch(run_mini: Run, bp4d_mini: Path, tmp_path: Path) -> None:
    done = run_mini(model="constant", settings={"value": "prior"}, folds=["P1"])
    words = ["run", "--model", "constant", "--protocol", "bp4d-3fold", "--preset", "tiny", "--set", "value=prior"]
    words += ["--data-root", f"bp4d={bp4d_mini}", "--runs", str(tmp_path / "runs"), "--folds", "P1", "--json"]
    program = (
        "import json, sys, time; from auharness.cli import main; code = main(sys.argv[1:]);"
        "print(json.dumps([code, 'torch' in sys.modules, time.process_time()]), file=sys.stderr)"
    )
    answer = subprocess.run([sys.executable, "-c", program, *words], capture_output=True, text=True, timeout=60)
    code, torch_imported, cpu_s = json.loads(answer.stderr.splitlines()[-1])
    assert code == 0, answer.stderr
    assert json.loads(answer.stdout)[0] | {"page": ""} == {
        "run": str(done.path),
        "page": "",
        "headline": done.headline,
        "kept": 1,
        "done": 0,
        "looks": {"constant": 1},
        "drawn": [],
    }
    assert not torch_imported
    assert cpu_s < 2


def test_the_progress_hears_of_every_stage(run_mini: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    told: list[tuple[Any, ...]] = []

    class Listener(Progress):
        def crops(self, dataset: str, done: int, total: int) -> None:
            told.append(("crops", dataset, done, total))

        def units(self, units: Sequence[Any], *, kept: int) -> None:
            told.append(("units", len(units), kept))

        def events(self, events: Iterable[Mapping[str, Any]]) -> None:
            told.extend((event["event"], event["fold"]) for event in events)

    monkeypatch.setenv("AUHARNESS_CACHE", str(tmp_path / "cache"))
    run_mini(folds=["P1", "P2"], progress=Listener())
    one = [("started", "P1"), ("epoch", "P1"), ("epoch", "P1"), ("unit_finished", "P1")]
    assert told[:7] == [*(("crops", "bp4d", done, 6) for done in range(1, 7)), ("units", 2, 0)]
    assert told[7:] == [*one, *((event, "P2") for event, _ in one)]


def test_a_fold_alone_equals_the_same_fold_of_the_whole_run(run_mini: Run, tmp_path: Path) -> None:
    whole = run_mini()
    alone = run_mini(folds=["P2"], runs=tmp_path / "alone")
    assert list(units_of(alone)) == [("P2", 0)]
    assert alone.path.name == whole.path.name
    pd.testing.assert_frame_equal(predictions_of(alone)["P2", 0], predictions_of(whole)["P2", 0], check_exact=True)


def test_folds_may_be_run_in_any_order(run_mini: Run, tmp_path: Path) -> None:
    whole = run_mini()
    runs = tmp_path / "by-fold"
    for fold in ("P3", "P1"):
        run_mini(folds=[fold], runs=runs)
    last = run_mini(runs=runs)
    assert (last.kept, last.done) == (2, 1)
    assert list(units_of(last)) == list(units_of(whole))
    assert last.headline == whole.headline
    assert last.page.read_bytes() == whole.page.read_bytes()


def test_two_jobs_give_the_same_bits_as_one(run_mini: Run, tmp_path: Path) -> None:
    one, two = (run_mini(folds=["P1", "P3"], jobs=jobs, runs=tmp_path / str(jobs)) for jobs in (1, 2))
    for (key, a), b in zip(predictions_of(one).items(), predictions_of(two).values(), strict=True):
        pd.testing.assert_frame_equal(a, b, check_exact=True)
        weights = [load_file(units_of(run)[key] / "weights.safetensors") for run in (one, two)]
        assert all(torch.equal(weights[0][name], weights[1][name]) for name in weights[0])
    assert one.page.read_bytes() == two.page.read_bytes()


def test_more_seeds_extend_a_run(run_mini: Run) -> None:
    first = run_mini(folds=["P1", "P2"])
    stamps = stamps_of(first)
    more = run_mini(folds=["P1", "P2"], seeds=[0, 1])
    assert more.path == first.path and (more.kept, more.done) == (2, 2)
    assert {key: stamp for key, stamp in stamps_of(more).items() if key in stamps} == stamps
    predictions = predictions_of(more)
    assert not predictions["P1", 0].equals(predictions["P1", 1])
    assert more.score.seeds == (0, 1) and more.score.seed_sd is not None


def test_seeds_that_were_begun_and_are_no_longer_asked_for_hold_nothing_up(
    run_mini: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    built = 0
    build = SmallCNN.build

    def interrupted(self: SmallCNN, task: Task) -> torch.nn.Module:
        nonlocal built
        built += 1
        if built == 4:
            raise KeyboardInterrupt
        return build(self, task)

    monkeypatch.setattr(SmallCNN, "build", interrupted)
    with pytest.raises(KeyboardInterrupt):
        run_mini(folds=["P1", "P2"], seeds=[0, 1])
    monkeypatch.undo()
    result = run_mini(folds=["P1", "P2"])
    assert (result.kept, result.done, result.score.seeds) == (2, 0, (0,))
    assert "small-cnn" in result.page.read_text(encoding="utf-8")
    assert run_mini(folds=["P1", "P2"]).done == 0


def test_fresh_makes_a_second_attempt_and_deletes_nothing(run_mini: Run) -> None:
    first = run_mini(folds=["P1"])
    stamps = stamps_of(first)
    second = run_mini(folds=["P1"], fresh=True)
    assert second.path == first.path.with_name(f"{first.path.name}-2") and second.done == 1
    assert RunFolder(second.path).record.attempt == 2
    assert stamps_of(first) == stamps
    pd.testing.assert_frame_equal(predictions_of(first)["P1", 0], predictions_of(second)["P1", 0], check_exact=True)
    assert run_mini(folds=["P1"]).path == second.path


def test_an_interrupted_fresh_attempt_goes_on_without_fresh(run_mini: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    first = run_mini(folds=["P1"])
    monkeypatch.setattr(SmallCNN, "fit", _interrupt)
    with pytest.raises(KeyboardInterrupt):
        run_mini(folds=["P1"], fresh=True)
    monkeypatch.undo()
    again = run_mini(folds=["P1"])
    assert again.path == first.path.with_name(f"{first.path.name}-2") and again.done == 1


def test_a_changed_setting_is_another_run(run_mini: Run) -> None:
    settings: dict[str, Any] = {"widths": [8], "recipe": {"epochs": 1, "batch_size": 16}}
    one = run_mini(folds=["P1"], settings=settings)
    other = run_mini(folds=["P1"], settings=settings | {"augment": {"flip": 0.0}})
    assert one.path != other.path and other.done == 1


def test_the_evaluation_batch_size_changes_no_logit(run_mini: Run) -> None:
    for model, more in (("small-cnn", {"widths": [8]}), ("au-ttt", {})):
        scores = []
        for size in (3, 128):
            recipe = {"eval_batch_size": size, "batch_size": 16}
            result = run_mini(model=model, settings={**more, "recipe": recipe}, folds=["P1"], max_steps=2)
            frame = predictions_of(result)["P1", 0]
            scores.append(frame.filter(regex=r"^AU\d+$").to_numpy())
        assert scores[0].shape == (12, 12)
        np.testing.assert_allclose(scores[0], scores[1], rtol=0, atol=1e-5)


def test_a_root_written_by_data_synth_gives_what_the_default_stand_in_gives(
    command: Callable[..., Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from auharness.data.synthetic import standin
    from auharness.data.synthetic.layouts import bp4d
    from auharness.data.synthetic.sizes import Size

    monkeypatch.setattr(standin, "_jobs", lambda asked: 1)  # a worker process would write the real size
    monkeypatch.setitem(bp4d.SIZES, "tiny", Size(pixels=64, frames=4, tasks=("T1",)))
    monkeypatch.setattr(bp4d, "subjects", lambda size: ("F001", "F002", "F003", "F004"))
    monkeypatch.setenv("AUHARNESS_CACHE", str(tmp_path / "cache"))
    root = tmp_path / "BP4D"
    assert command("data", "synth", "bp4d", "--data-size", "tiny", "--out", root, "--jobs", 1).code == 0
    words = (
        "run",
        "--model",
        "pixel-probe",
        "--protocol",
        "bp4d-3fold",
        "--json",
        "--jobs",
        1,
        "--set",
        "recipe.epochs=1",
    )
    default = command(*words, "--runs", tmp_path / "a", "--data-size", "tiny")
    given = command(*words, "--runs", tmp_path / "b", "--data-root", f"bp4d={root}")
    assert (default.code, given.code) == (0, 0), default.err + given.err
    a, b = (RunFolder(Path(json.loads(answer.out)[0]["run"])).finished() for answer in (default, given))
    assert [unit.metrics for unit in a] == [unit.metrics for unit in b]
    assert [unit.clusters for unit in a] == [unit.clusters for unit in b]
    assert a[0].data == b[0].data and b[0].data.size == "tiny"


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"model": "small-cn"}, "did you mean 'small-cnn'"),
        ({"folds": ["P4"]}, r"bp4d-3fold has no fold 'P4' \(folds: P1, P2, P3\)"),
        ({"presets": "tinny"}, "did you mean 'tiny'"),
        ({"settings": {"recipe": {"epoch": 3}}}, r"did you mean 'recipe\.epochs'"),
        ({"seeds": [0, 0]}, r"seeds: expected distinct numbers, got \[0, 0\]"),
        ({"limit": 0}, "limit: expected at least 1, got 0"),
        ({"data_roots": {"disfa": "."}}, "dataset 'disfa': the protocol reads bp4d"),
        ({"seed": 3}, "run: no option 'seed'; did you mean 'seeds'"),
    ],
    ids=lambda value: "-".join(value) if isinstance(value, dict) else "",
)
def test_a_wrong_option_is_refused_by_name(run_mini: Run, options: dict[str, Any], message: str) -> None:
    with pytest.raises(UsageError, match=message) as caught:
        run_mini(**options)
    assert "\n" not in str(caught.value)


def _interrupt(*_: object) -> None:
    raise KeyboardInterrupt


def test_a_unit_records_which_backend_computed_each_operator(run_mini):
    small = {"depth": 1, "dim": 8, "heads": 2, "recipe": {"epochs": 1, "max_steps": 1, "batch_size": 8}}
    for mixer, operator in (("ttt", "ttt_linear"), ("attention", "attention")):
        result = run_mini(model="au-ttt", settings={**small, "mixer": mixer}, folds=["P1"])
        (unit,) = RunFolder(result.path).finished()
        assert list(unit.backend) == [operator]
        assert all(unit.backend.values())


def test_what_units_share_is_loaded_before_the_clock_of_each(run_mini: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    heard: list[str] = []

    class Told(execute_module.Clock):
        def __init__(self) -> None:
            heard.append("clock")
            super().__init__()

    monkeypatch.setattr(execute_module, "Clock", Told)
    monkeypatch.setattr(SmallCNN, "shared", lambda self, device: heard.append(device.type))
    run_mini(folds=["P1", "P2"])
    assert heard == ["cpu", "clock"] * 2
