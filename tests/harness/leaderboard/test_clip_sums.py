"""Committed records over clips: no id, no clip by itself, and the same numbers as the board of the runs."""

import json
import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from auharness import registry
from auharness.errors import InconclusiveError, IntegrityError
from auharness.leaderboard import add_run, board, build_boards, check_boards, write_page
from auharness.leaderboard import memory as memory_module
from auharness.leaderboard.ablation import Ablation, _p_values
from auharness.leaderboard.ablation_page import ablation_section
from auharness.leaderboard.comparison import compare_runs
from auharness.leaderboard.entries import newest, read_entries
from auharness.leaderboard.memory import Memory
from auharness.leaderboard.rows import make_tables
from auharness.results.store import RunFolder
from auharness.results.verify import verify_run
from auharness.statistics import headline_interval, swap_test

MakeRun = Callable[..., RunFolder]
CLIPS = np.array([489, 379, 534, 435, 294, 29, 181])  # by class, test part of DFEW's fold 1
FOLDS = tuple(f"fold{number}" for number in range(1, 6))


@pytest.fixture(autouse=True)
def few_draws(monkeypatch: pytest.MonkeyPatch) -> None:
    interval, test = headline_interval, swap_test
    monkeypatch.setattr(memory_module, "headline_interval", lambda *a, **k: interval(*a, **k, draws=200))
    monkeypatch.setattr(memory_module, "swap_test", lambda *a, **k: test(*a, **k, draws=200))
    # no boards but those of the added runs
    monkeypatch.setattr(board, "registry", SimpleNamespace(offers=lambda kind: {}, load=registry.load))


def matrix(clips: np.ndarray, share: float, seed: int) -> np.ndarray:
    """A confusion matrix of which about a share of each class is right."""
    generator = np.random.default_rng(seed)
    odds = np.full((7, 7), (1 - share) / 6) + np.eye(7) * (share - (1 - share) / 6)
    return np.stack([generator.multinomial(size, row) for size, row in zip(clips, odds, strict=True)])


def five(share: float, seeds: int = 1) -> dict[str, list[np.ndarray]]:
    small = np.maximum(CLIPS // 12, 3)
    return {name: [matrix(small, share, 10 * place + s) for s in range(seeds)] for place, name in enumerate(FOLDS)}


def measured(folder: Path, protocol: str = "dfew-5fold") -> dict[str, dict[str, Any]]:
    rows = json.loads((folder / f"{protocol}.json").read_text())["rows"]
    return {row["model"]: row for row in rows if row["origin"] == "measured"}


def both_boards(tmp_path: Path, runs: list[RunFolder]) -> tuple[dict[str, dict[str, Any]], dict[str, dict[str, Any]]]:
    """Rows of the board of the runs, and of the board built from what was added."""
    for run in runs:
        add_run(run, tmp_path / "boards")
    build_boards(tmp_path / "boards")
    write_page(tmp_path / "runs", "dfew-5fold")
    return measured(tmp_path / "runs" / "leaderboard"), measured(tmp_path / "boards")


@pytest.mark.parametrize("seeds", [1, 3])
def test_a_committed_record_holds_no_clip_id_and_no_single_clip(tmp_path: Path, class_run: MakeRun, seeds: int) -> None:
    run = class_run(tmp_path / "runs", five(0.6, seeds))
    names = {item.name for unit in run.finished() for item in unit.clusters}
    ids = {name.rpartition("/")[2] for name in names}
    assert len(ids) == sum(int(found[0].sum()) for found in five(0.6).values())
    target, _ = add_run(run, tmp_path / "boards")
    written = [path.read_text() for path in (tmp_path / "boards").rglob("*") if path.is_file()]
    assert len(written) == 1 + 5 * seeds
    for text in written:
        assert not any(name in text for name in names)
        assert not ids & set(re.findall(r"\d{5}", text))
    for unit in RunFolder(target).finished():
        (only,) = unit.clusters
        assert only.n_rows == unit.n_frames > 1
        assert unit.clips_summed
    # the run itself keeps them, unchanged
    assert {item.name for unit in run.finished() for item in unit.clusters} == names
    assert verify_run(run) == []


@pytest.mark.parametrize("seeds", [1, 3])
def test_both_boards_show_the_same_scores_intervals_and_matrices(
    tmp_path: Path, class_run: MakeRun, seeds: int
) -> None:
    local, committed = both_boards(tmp_path, [class_run(tmp_path / "runs", five(0.6, seeds))])
    assert local["my-net"]["low"] < local["my-net"]["score"] < local["my-net"]["high"]
    # sums of fractional counts in another order
    (ours, theirs) = (row["my-net"].pop("floors_of_metrics") for row in (local, committed))
    assert {name: pytest.approx(values) for name, values in ours.items()} == theirs
    assert committed == local
    text = (tmp_path / "boards" / "dfew-5fold.md").read_text()
    assert "Rank n/a" not in text
    assert check_boards(tmp_path / "boards") > 0


def test_hits_are_the_clips_that_each_number_of_seeds_named_right(tmp_path: Path, class_run: MakeRun) -> None:
    seeds = [np.eye(7, dtype=int) * 4 for _ in range(3)]
    for seed in seeds[1:]:
        # the clips of the first class: 0 and 1 right by all, 2 and 3 by the first seed only
        seed[0, :2] = 2, 2
    target, _ = add_run(class_run(tmp_path, {"fold1": seeds}, protocol="dfew-fold1", folds_total=1), tmp_path / "b")
    hits = RunFolder(target).record.hits
    assert list(hits) == ["fold1"]
    assert hits["fold1"][:2] == ((0, 2, 0, 2), (0, 0, 0, 4))
    single, _ = add_run(class_run(tmp_path, {"fold1": seeds[:1]}, protocol="dfew-fold1", model="one"), tmp_path / "b")
    assert RunFolder(single).record.hits == {}


def test_rows_of_committed_clips_are_not_tested_and_say_why(tmp_path: Path, class_run: MakeRun) -> None:
    runs = [class_run(tmp_path / "runs", five(share), model=name) for name, share in (("bad", 0.4), ("good", 0.7))]
    local, committed = both_boards(tmp_path, runs)
    assert {name: row["rank"] for name, row in local.items()} == {"good": 1, "bad": 2}
    assert {name: row["rank"] for name, row in committed.items()} == {"good": None, "bad": None}
    assert list(committed) == ["good", "bad"]
    assert all("holds sums only" in row["not_ranked"] for row in committed.values())
    text = (tmp_path / "boards" / "dfew-5fold.md").read_text()
    assert "Rank n/a: a paired test needs the answers to each clip, and the record holds sums only." in text
    assert "Incomplete, not ranked" not in text
    assert "(good)" in (tmp_path / "boards" / "README.md").read_text()
    folders = [RunFolder(path.parent) for path in sorted((tmp_path / "boards" / "data").rglob("run.json"))]
    with pytest.raises(InconclusiveError, match="bad-1 cannot be compared: a paired test needs the answers to each"):
        compare_runs(folders)


def test_steps_of_an_ablation_have_no_p_value_and_say_why(tmp_path: Path, class_run: MakeRun) -> None:
    for name, share in (("part", 0.4), ("all", 0.7)):
        add_run(class_run(tmp_path / "runs", five(share), model=name), tmp_path / "boards")
    protocol, shown = registry.load("protocol", "dfew-5fold")(), {}
    for root in (tmp_path / "runs", tmp_path / "boards" / "data"):
        entries, _ = read_entries(root)
        (table,) = make_tables(protocol, newest(entries), memory=Memory())
        found = Ablation("net", None, ("part", "all"), rows={row.entry.run.model: row for row in table.rows[::-1]})
        section = ablation_section(replace(found, p_values=_p_values(protocol, found, Memory())))
        line = next(line for text in section for line in text.splitlines() if line.startswith("| all"))
        shown[root.name] = line.strip("| ").split()[-1], "`n/a`: a paired test needs" in section[-1]
    assert float(shown["runs"][0]) < 0.05
    assert (shown["runs"][1], shown["data"]) == (False, ("n/a", True))


def test_a_committed_fold_of_2341_clips_is_small(tmp_path: Path, class_run: MakeRun) -> None:
    folds = {"fold1": [matrix(CLIPS, 0.6, seed) for seed in range(3)]}
    run = class_run(tmp_path, folds, protocol="dfew-fold1", folds_total=1)
    target, _ = add_run(run, tmp_path / "boards")
    sizes = {path.parent.name: path.stat().st_size for path in target.rglob("*.json")}
    assert len(sizes) == 4
    assert max(sizes.values()) < 5_000
    assert sum(unit.clusters[0].n_rows for unit in RunFolder(target).finished()) == 3 * 2341


def test_a_seed_that_lacks_folds_is_left_out_of_what_is_added(tmp_path: Path, class_run: MakeRun) -> None:
    whole = class_run(tmp_path / "whole", five(0.6))
    part = class_run(tmp_path / "runs", five(0.6, seeds=2))
    (part.unit_folder("my-net-fold3-1") / "unit.json").unlink()
    targets = [add_run(run, tmp_path / name)[0] for run, name in ((whole, "one"), (part, "two"))]
    one, two = ([unit.model_dump() for unit in RunFolder(target).finished()] for target in targets)
    assert one == two
    assert RunFolder(targets[1]).record.hits == {}


def test_a_record_with_single_clips_among_the_committed_is_refused(tmp_path: Path, class_run: MakeRun) -> None:
    class_run(tmp_path / "data", five(0.6))
    for act in (build_boards, check_boards):
        with pytest.raises(IntegrityError, match="holds labels and predictions of single clips"):
            act(tmp_path)


def test_hits_that_do_not_fit_the_matrices_are_refused(tmp_path: Path, class_run: MakeRun) -> None:
    target, _ = add_run(class_run(tmp_path, five(0.6, seeds=2)), tmp_path / "boards")
    copy = RunFolder(target)
    hits = {name: ((0, *rows[0][1:]), *rows[1:]) for name, rows in copy.record.hits.items()}
    copy.write_record(copy.record.model_copy(update={"hits": hits}))
    with pytest.raises(IntegrityError, match=r"fold fold1: hits in run\.json do not fit"):
        build_boards(tmp_path / "boards")
