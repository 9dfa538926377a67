"""What a picture of curves shows of a table, read from the figure before it becomes pixels."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from auharness.explain import curves

COLUMNS = ["quantity", "fold", "seed", "epoch", "value"]


@pytest.fixture
def drawn(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Any:
    """Draw rows and return, by the title of each visible panel, its axes."""
    figures: list[Any] = []
    monkeypatch.setattr(curves, "save_figure", lambda figure, path: figures.append(figure))

    def draw(rows: list[tuple[object, ...]]) -> dict[str, Any]:
        curves.draw_curves(pd.DataFrame(rows, columns=COLUMNS), tmp_path / "c.png", title="t")
        return {axis.get_title(loc="left"): axis for axis in figures.pop().axes if axis.get_visible()}

    return draw


def rows(quantity: str, *values: float, fold: str = "f", first: int = 1) -> list[tuple[object, ...]]:
    return [(quantity, fold, 0, first + number, value) for number, value in enumerate(values)]


def labels(axis: Any) -> list[str]:
    return [text.get_text() for text in axis.get_legend().get_texts()] if axis.get_legend() else []


def test_one_panel_holds_a_quantity_on_all_parts_of_the_data(drawn: Any) -> None:
    names = (
        "focal",
        "train_score",
        "train_uar",
        "train_macro_f1",
        "inner_val",
        "val_focal",
        "val_uar",
        "test macro-f1",
    )
    panels = drawn([row for name in names for row in rows(name, 0.1, 0.2)])
    # the score of classes is the UAR
    assert {name: labels(axis) for name, axis in panels.items()} == {
        "focal": ["training", "inner validation"],
        "UAR": ["training", "inner validation"],
        "macro-F1": ["training", "test"],
    }


def test_scores_of_labels_and_stages_have_panels_of_their_own(drawn: Any) -> None:
    names = ("teacher: bce", "teacher: train_score", "bce", "train_score", "inner_val")
    panels = drawn([row for name in names for row in rows(name, 0.1, 0.2)])
    assert list(panels) == ["teacher: bce", "teacher: score", "bce", "score"]
    assert labels(panels["teacher: bce"]) == ["training"] and labels(panels["bce"]) == []


def test_the_mean_of_folds_ends_where_the_first_of_them_does(drawn: Any) -> None:
    panels = drawn(rows("bce", 1.0, 0.5, fold="a") + rows("bce", 3.0, 1.5, 0.1, fold="b"))
    *folds, mean = panels["bce"].lines
    assert [np.asarray(line.get_ydata())[:2].tolist() for line in folds] == [[1.0, 0.5], [3.0, 1.5]]
    assert np.asarray(mean.get_ydata()).tolist() == [2.0, 1.0] and labels(panels["bce"]) == ["training, mean of 2"]


def test_an_undefined_quantity_and_a_single_epoch_are_drawn(drawn: Any) -> None:
    panels = drawn(rows("bce", 0.5) + rows("test auroc", float("nan")))
    assert panels["bce"].lines[0].get_marker() == "o" and not panels["auroc"].lines
