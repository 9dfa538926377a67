"""Measured rows of a pooled protocol with one subject a fold: what a page must say beside the headline."""

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from auharness.leaderboard import memory as memory_module
from auharness.leaderboard import write_ablation, write_page
from auharness.statistics import headline_interval, swap_test

Labels = Mapping[str, np.ndarray]
POOLED = {
    "average-precision": {"AU2": 0.5, "AU4": 0.7, "AU7": 0.6, "AU12": 0.6, "mean": 0.6},
    "auroc": {"AU2": 0.8, "AU4": None, "AU7": 0.7, "AU12": 0.9, "mean": 0.8},
}


@pytest.fixture(autouse=True)
def few_draws(monkeypatch: pytest.MonkeyPatch) -> None:
    interval, test = headline_interval, swap_test
    monkeypatch.setattr(memory_module, "headline_interval", lambda *a, **k: interval(*a, **k, draws=300))
    monkeypatch.setattr(memory_module, "swap_test", lambda *a, **k: test(*a, **k, draws=300))


def page(root: Path) -> tuple[str, list[dict[str, Any]]]:
    text = write_page(root, "samm-loso").read_text()
    rows = json.loads((root / "leaderboard" / "samm-loso.json").read_text())["rows"]
    return text, rows


def cells(text: str, start: str) -> dict[str, str]:
    """The first row of the page that begins with a text, by column."""
    lines = text.splitlines()
    place = next(number for number, line in enumerate(lines) if line.startswith(start))
    top = next(number for number in range(place, 0, -1) if set(lines[number]) <= set("|:-"))
    names, values = ([cell.strip() for cell in lines[number].strip("|").split("|")] for number in (top - 1, place))
    return dict(zip(names, values, strict=True))


def test_the_headline_of_one_seed_is_marked_and_that_of_two_has_a_spread(
    tmp_path: Path, write: Callable[..., None]
) -> None:
    write(model="one")
    write(model="two", seeds=(0, 1), share=0.2)
    text, rows = page(tmp_path)
    one, two = (next(line for line in text.splitlines() if f"| {name} " in line) for name in ("one", "two"))
    assert "** (1 seed)" in one and "(1 seed)" not in two
    assert {row["model"]: row["marks"] for row in rows if row["origin"] == "measured"} == {"one": ["1 seed"], "two": []}


def test_labels_that_are_never_predicted_are_named_in_the_row(tmp_path: Path, write: Callable[..., None]) -> None:
    write(never=(0, 2))
    text, rows = page(tmp_path)
    assert cells(text, "|      1 | net")["degenerate"] == "AU2 never, AU7 never"
    assert rows[0]["degenerate"] == {"AU2": "never", "AU7": "never"}
    assert round(100 * rows[0]["labels"]["AU2"], 2) == 47.00
    assert rows[0]["counts"]["AU2"] == [0, 0, 18, 141]


def test_every_table_has_constants_and_chance_below_its_rows(tmp_path: Path, write: Callable[..., None]) -> None:
    write()
    text, rows = page(tmp_path)
    floors = {row["model"]: row["score"] for row in rows if row["origin"] == "floor"}
    names = ["constant-0", "constant-1", "random-prior", "random-prior-p95", "random-oracle", "random-oracle-p95"]
    assert list(floors) == names
    assert all(f"| *{name}*" in text and f"*floor: {name}*" in text for name in names)
    assert round(100 * floors["constant-0"], 2) == 44.95
    assert floors["random-prior"] < floors["random-prior-p95"] < floors["random-oracle-p95"]


def test_precision_and_auroc_are_those_of_the_pool_and_never_the_mean_of_single_subjects(
    tmp_path: Path, write: Callable[..., None]
) -> None:
    write(model="with", pooled={"0": POOLED})
    write(model="without", share=0.2)
    _, rows = page(tmp_path)
    found = {row["model"]: row for row in rows if row["origin"] == "measured"}
    assert found["with"]["metrics"]["auroc"] == 0.8
    assert found["with"]["labels_of_metrics"]["average-precision"]["AU4"] == 0.7
    assert found["with"]["labels_of_metrics"]["auroc"]["AU4"] is None
    assert found["without"]["metrics"]["auroc"] is None
    assert set(found["without"]["labels_of_metrics"]) == {"f1", "accuracy"}


def test_twenty_nine_folds_are_not_listed_on_the_page(tmp_path: Path, write: Callable[..., None]) -> None:
    write()
    text, rows = page(tmp_path)
    assert "The scores of the 29 folds stand in the json file beside this page." in text
    assert "Score of each fold" not in text
    assert len(rows[0]["folds"]) == 29


def test_what_a_protocol_of_clips_scores_is_called_clips(tmp_path: Path, write: Callable[..., None]) -> None:
    write()
    text, _ = page(tmp_path)
    (made,) = (line for line in text.splitlines() if line.startswith("| model") and "data verified" in line)
    assert [cell.strip() for cell in made.split("|")][3:6] == ["seeds", "clips", "subjects"]
    assert "whether clips and positives equal the published counts" in text
    assert "`train-tuned`: best macro-F1 {0,1} of the training rows" in text


def test_the_metric_stands_in_page_csv_and_json(tmp_path: Path, write: Callable[..., None]) -> None:
    write()
    text, rows = page(tmp_path)
    assert "macro-F1 {0,1}" in text
    assert {row["metric"] for row in rows} == {"macro-f1-binary"}
    assert {row["aggregation"] for row in rows if row["origin"] != "reported"} == {"pooled"}
    assert "macro-f1-binary" in (tmp_path / "leaderboard" / "samm-loso.csv").read_text()


def test_ablation_steps_start_from_the_full_model_and_stand_beside_their_language_model(
    tmp_path: Path, write: Callable[..., None]
) -> None:
    qwen = {"backbone": "qwen2-1.5b"}
    write(model="au-llm", preset="paper,qwen2,all", share=0.05, settings=qwen)
    write(model="au-llm", preset="paper,qwen2,f-mid", share=0.25, settings=qwen)
    write(model="au-llm", preset="tiny,all", share=0.1, settings={"backbone": "tiny-random"})
    text = write_ablation(tmp_path, "samm-loso", "au-llm")[0].read_text()
    sections = {part.splitlines()[0]: part for part in text.split("\n## ")[1:]}
    measured = [title for title, part in sections.items() if "measured on" in title]
    assert ["Qwen2-1.5B" in measured[0], "Table 3" in measured[1]] == [True, False]
    mid, full = cells(sections[measured[0]], "| f-mid"), cells(sections[measured[0]], "| all")
    assert (mid["reported"], mid["reported step"], full["reported step"], full["measured step"]) == (
        "55.6",
        "-2.3",
        "",
        "",
    )
    assert float(mid["measured step"]) == pytest.approx(float(mid["measured"]) - float(full["measured"]), abs=0.011)
    assert float(mid["p"]) < 0.05
    assert "A step is the difference from the variant all" in text
