"""Folders and clips with odd names: the same results wherever they lie, or one line that names them."""

import os
import shutil
from collections.abc import Callable
from itertools import product
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from openpyxl import Workbook

NAMES: dict[str, tuple[str, ...]] = {
    "spaces": ("my runs", " lead", "trail ", "a  b"),
    "unicode": (
        "M\u00fcller \u2013 Daten",
        "\u6570\u636e",
        "\u0434\u0430\u043d\u043d\u044b\u0435",
        "e\u0301",
        "\U0001f600",
    ),
    "glob": ("[a-z]*", "a?b", "**", "[!x]"),
    "format": ("{x}", "%s%d", "${HOME}", "a;b&c", "~root", "$(id)"),
    "quotes": ("it's", 'say "x"', "back`tick", "a\\b"),
    "dash": ("-rf", "--json", "=x", "@x"),
    "long": ("x" * 240, "\u6570" * 80),
    "lines": ("a\nb", "tab\tx", "\x1b[31m"),
    "reserved": ("CON", "aux.json", "nul.", "run.json"),
    "dots": ("...", "a.b.c", ".hidden", "x.tmp"),
}
PLACES = ("runs", "data root")


@pytest.mark.cases("paths", *product(NAMES, PLACES), names=("name", "place"))
def test_the_name_of_a_folder_changes_no_result(
    command: Callable[..., Any],
    run_words: Callable[..., list[object]],
    bp4d_mini: Path,
    one_fold: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    name: str,
    place: str,
    chance: np.random.Generator,
) -> None:
    folder = tmp_path / str(chance.choice(NAMES[name]))
    runs = folder if place == "runs" else tmp_path / "runs"
    if place == "data root":
        monkeypatch.setenv("AUHARNESS_CACHE", str(tmp_path / "cache"))
        shutil.copytree(bp4d_mini, folder)
    # the last --runs and the last root of a data set count
    words = run_words("constant", "--folds", "P1", f"--runs={runs}")
    if place == "data root":
        words = [f"bp4d={folder}" if str(word).startswith("bp4d=") else word for word in words]
    answer = command(*words)
    assert answer.code == 0, answer.err
    calm, found = (sorted(folder.rglob("metrics.json")) for folder in (one_fold, runs))
    assert [path.read_bytes() for path in calm] == [path.read_bytes() for path in found]
    assert [path.parent.name for path in calm] == [path.parent.name for path in found]
    for verb in (("store", "verify"), ("status",), ("score", next(runs.glob("*/*/*/run.json")).parent)):
        assert command(*verb, f"--runs={runs}").code == 0


@pytest.mark.parametrize("name", [name for name in NAMES if name not in ("dots",)])
def test_clips_of_odd_names_are_cropped_or_refused_by_name(
    command: Callable[..., Any], refused: Callable[..., str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.setenv("AUHARNESS_CACHE", str(tmp_path / "cache"))
    book = Workbook()
    assert book.active is not None
    book.active.append(["Subject", "Filename", "Onset Frame", "Offset Frame", "Action Units"])
    root = tmp_path / "casme2"
    for clip in NAMES[name]:
        odd = "/" in clip or "\\" in clip or any(letter < " " for letter in clip) or clip != clip.strip()
        if odd or len(os.fsencode(clip)) > 240:
            continue
        book.active.append([1, clip if not clip.startswith("=") else f"x{clip}", 1, 2, "4"])
        folder = root / "Cropped" / "sub01" / (clip if not clip.startswith("=") else f"x{clip}")
        folder.mkdir(parents=True)
        for frame in (1, 2):
            cv2.imwrite(str(folder / f"reg_img{frame}.jpg"), np.full((32, 32, 3), 90, np.uint8))
    root.mkdir(exist_ok=True)
    book.active.append([2, "EP", 1, 2, "4"])
    (root / "Cropped" / "sub02" / "EP").mkdir(parents=True)
    for frame in (1, 2):
        cv2.imwrite(str(root / "Cropped" / "sub02" / "EP" / f"reg_img{frame}.jpg"), np.full((32, 32, 3), 90, np.uint8))
    book.save(root / "CASME2-coding-20190701.xlsx")
    (root / "SYNTHETIC.json").write_text("{}")
    words = ("--data-root", f"casme2={root}", "--model", "constant", "--jobs", 1, "--quiet")
    answer = command("data", "prepare", "casme2", *words)
    assert answer.code == 0 or refused(answer, 3, lines=None)
    assert answer.code == 0 or name in ("dash", "reserved")


def test_a_name_longer_than_the_disk_takes_is_one_line(
    command: Callable[..., Any], refused: Callable[..., str], run_words: Callable[..., list[object]], tmp_path: Path
) -> None:
    for words in (("--runs", tmp_path / ("x" * 300)), ("--config", "x" * 5000), ("--weights", "x" * 5000)):
        refused(command(*run_words("constant", *words)), 2, 3)
    refused(
        command("run", "--model", "constant", "--protocol", "bp4d-3fold", "--data-root", f"bp4d={'x' * 5000}"), 2, 3
    )
