"""Anyone's csv of predictions, as scripts and spreadsheets leave it: refused by row, or scored the same."""

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from auharness import registry
from auharness.data.index import build_index

BAD = (
    *("nan", "inf", "text", "empty cell", "comma", "twice", "unknown", "missing row", "cut row", "long row"),
    *("missing column", "unknown column", "no ids", "semicolons", "utf-16", "noise", "empty", "no rows", "quote"),
    *("nul", "huge", "folder", "gone", "parquet", "page"),
)
GOOD = ("bom", "crlf", "shuffled", "spaces", "quoted")


@pytest.fixture(scope="session")
def predictions(bp4d_mini: Path) -> str:
    """A sound file: a logit for every frame and AU."""
    index = build_index(registry.load("dataset", "bp4d")(root=bp4d_mini))
    scores = np.random.default_rng(0).normal(size=(len(index.table), len(index.outputs)))
    frame = pd.DataFrame(scores, columns=index.outputs)
    frame.insert(0, "sample_id", index.table["sample_id"].to_numpy())
    return frame.to_csv(index=False, float_format="%.6f")


def changed(text: str, kind: str, chance: np.random.Generator) -> bytes:
    lines = text.splitlines()
    at = int(chance.integers(1, len(lines)))
    cells = lines[at].split(",")
    place = int(chance.integers(1, len(cells)))
    values = {
        "nan": "nan",
        "inf": "-inf",
        "text": "yes",
        "empty cell": "",
        "comma": "0,5",
        "nul": "\0",
        "huge": "9" * 9999,
    }
    if kind in values:
        cells[place] = values[kind]
    elif kind == "unknown":
        cells[0] = str(chance.choice(["", "bp4d/F001/T7/999999", "x", "../../etc/passwd", "bp4d/F999/T7/1"]))
    elif kind == "cut row":
        cells = cells[:-1]
    elif kind == "long row":
        cells.append("0.1")
    elif kind == "quote":
        cells[place] = f'"{cells[place]}'
    lines[at] = ",".join(cells)
    if kind == "twice":
        lines.append(lines[at])
    elif kind == "missing row":
        del lines[at]
    elif kind == "no rows":
        del lines[1:]
    elif kind in ("missing column", "unknown column", "no ids"):
        names = lines[0].split(",")
        names[0 if kind == "no ids" else place] = "note" if kind != "missing column" else "AU5"
        lines[0] = ",".join(names)
    elif kind == "shuffled":
        lines[1:] = [lines[1 + row] for row in chance.permutation(len(lines) - 1)]
    elif kind == "quoted":
        lines = [",".join(f'"{cell}"' for cell in line.split(",")) for line in lines]
    content = "\n".join(lines) + "\n"
    content = {"semicolons": content.replace(",", ";"), "spaces": content.replace(",", ", ")}.get(kind, content)
    content = content.replace("\n", "\r\n") if kind == "crlf" else content
    if kind in ("empty", "noise", "page", "parquet"):
        return {"empty": b"", "noise": chance.bytes(900), "page": b"<html></html>"}.get(
            kind, b"PAR1" + bytes(99) + b"PAR1"
        )
    return content.encode({"utf-16": "utf-16", "bom": "utf-8-sig"}.get(kind, "utf-8"))


@pytest.mark.cases("predictions", *BAD, *GOOD)
def test_a_changed_file_of_predictions_is_refused_or_scores_the_same(
    command: Callable[..., Any],
    refused: Callable[..., str],
    bp4d_mini: Path,
    predictions: str,
    tmp_path: Path,
    kind: str,
    chance: np.random.Generator,
) -> None:
    def score(content: bytes | None, runs: str) -> Any:
        path = tmp_path / "p.csv"
        if content is not None:
            path.write_bytes(content)
        elif kind == "folder":
            path.mkdir()
        words = ("--protocol", "bp4d-3fold", "--data-root", f"bp4d={bp4d_mini}", "--runs", tmp_path / runs)
        return command(
            "score", "--predictions", path, *words, "--name", "mine", "--score-kind", "logit", "--json", "--quiet"
        )

    if kind not in GOOD:
        answer = score(None if kind in ("folder", "gone") else changed(predictions, kind, chance), "runs")
        refused(answer, 2, 3)
        assert not list((tmp_path / "runs").rglob("unit.json"))
        return
    calm = score(predictions.encode(), "calm")
    shutil.rmtree(tmp_path / "calm" / "bp4d-3fold")
    answer = score(changed(predictions, kind, chance), "calm")
    assert (calm.code, answer.code) == (0, 0), calm.err + answer.err
    units = [line for line in calm.out.splitlines() if '"run"' not in line]
    assert units == [line for line in answer.out.splitlines() if '"run"' not in line]
