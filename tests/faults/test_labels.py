"""Label files of four vendors as hands, spreadsheets and scripts leave them: refused by row, or read the same."""

from collections.abc import Callable
from itertools import product
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest

AFFWILD2 = "AU1,AU2,AU4,AU6,AU7,AU10,AU12,AU15,AU23,AU24,AU25,AU26"
LABELS = ("77", "999", "-9", "nan", "", "1.5", "x", "\u0661", "0x1", "<script>", "=1", "\ufffd", "9" * 5000)
NUMBERS = ("x2", "-1", "", "1.5", "nan", "\u00b2", "1 2", "9" * 5000, "=3", "None")
ROWS = 6


class Form(NamedTuple):
    """A sound label file below a root."""

    dataset: str
    file: str
    text: str
    numbered: bool = True
    """Whether its rows begin with a number of their own, so that their order means nothing."""
    header: int = 1


def write_bp4d(root: Path) -> Form:
    rows = "".join(f"{number}{',0' * 12},{number % 2}\n" for number in range(1, ROWS + 1))
    _touch(root / "2D+3D" / "F001" / "T1", [f"{number}.jpg" for number in range(1, ROWS + 1)])
    return Form("bp4d", "AUCoding/AU_OCC/F001_T1.csv", f"0,1,2,4,5,6,7,10,12,14,15,17,23,24\n{rows}")


def write_disfa(root: Path) -> Form:
    text = "".join(f"{number},{number % 6}\n" for number in range(1, ROWS + 1))
    folder = "ActionUnit_Labels/SN001"
    for au in (1, 2, 4, 6, 9, 12, 25, 26):
        _write(root / folder / f"SN001_au{au}.txt", text.encode())
    _touch(root / "Video_LeftCamera", ["LeftVideoSN001_comp.avi"])
    return Form("disfa", f"{folder}/SN001_au4.txt", text, header=0)


def write_dfew(root: Path) -> Form:
    lists = "EmoLabel_DataSplit/{}(single-labeled)/set_1.csv"
    _write(root / lists.format("test"), b"video_name,label\n90,1\n91,2\n")
    for clip in (*range(1, ROWS + 1), 90, 91):
        _touch(root / "Clip" / "clip_224x224" / f"{clip:05d}", ["00001.jpg", "00002.jpg"])
    rows = "".join(f"{number},{number % 7 + 1}\n" for number in range(1, ROWS + 1))
    return Form("dfew", lists.format("train"), f"video_name,label\n{rows}")


def write_affwild2(root: Path) -> Form:
    _touch(root / "cropped_aligned" / "v", [f"{number:05d}.jpg" for number in range(1, ROWS + 1)])
    rows = "".join(f"{'0,' * 11}{number % 2}\n" for number in range(1, ROWS + 1))
    return Form("affwild2", "AU_Detection_Challenge/Train_Set/v.txt", f"{AFFWILD2}\n{rows}", numbered=False)


WRITERS = {"bp4d": write_bp4d, "disfa": write_disfa, "dfew": write_dfew, "affwild2": write_affwild2}
BAD = (
    *("label", "number", "twice", "tabs", "semicolons", "cut row", "long row", "quote", "long quote"),
    *("empty file", "nul", "utf-16", "noise", "blank row", "no header", "two headers"),
)
GOOD = ("bom", "crlf", "old mac", "blank end", "spaces", "no last newline", "unsorted", "another column")


def _write(path: Path, content: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)


def _touch(folder: Path, names: list[str]) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for name in names:
        (folder / name).touch()


def changed(form: Form, kind: str, chance: np.random.Generator) -> tuple[bytes, int | None]:
    """Return the content of a changed file, and the row that a message must name, or None for any or none."""
    lines = form.text.splitlines()
    at = int(chance.integers(form.header, len(lines)))
    cells = lines[at].split(",")
    row: int | None = at + 1
    if kind in ("label", "number"):
        named = kind == "number" and form.numbered
        cells[0 if named else -1] = str(chance.choice(NUMBERS if named else LABELS))
    elif kind == "cut row":
        cells = cells[:-1]
    elif kind == "long row":
        cells.insert(int(chance.integers(1, len(cells) + 1)), str(chance.choice(["0", "1"])))
    elif kind in ("quote", "long quote"):
        cells[-1] = f'"{cells[-1]}'
        if kind == "long quote":
            lines += [lines[-1]] * 20_000
    elif kind == "nul":
        cells[-1] = "\0"
    lines[at] = ",".join(cells)
    if kind == "blank row":
        lines.insert(at, "") if not form.numbered else lines.insert(at, "," * (len(cells) - 1) + "0")
    elif kind == "twice":
        # where the place of a row is its number, a row too many is a row without its labels
        lines.append(lines[at] if form.numbered else "1")
        row = len(lines)
    elif kind == "two headers":
        lines.insert(at, "head,er")
    elif kind == "no header":
        lines, row = lines[form.header :] if form.header else ["frame,intensity", *lines], 1
    text = "\n".join(lines) + "\n"
    if kind in ("tabs", "semicolons"):
        text, row = text.replace(",", "\t" if kind == "tabs" else ";"), 1
    if kind == "empty file":
        return b"", None
    if kind == "noise":
        return chance.bytes(int(chance.integers(1, 3000))), None
    return text.encode("utf-16" if kind == "utf-16" else "utf-8"), 1 if kind == "utf-16" else row


def rewritten(form: Form, kind: str, chance: np.random.Generator) -> bytes:
    """Return the content of a file that says the same in another way."""
    lines = form.text.splitlines()
    rows = lines[form.header :]
    if kind == "unsorted" and form.numbered:
        lines = [*lines[: form.header], *(rows[place] for place in chance.permutation(len(rows)))]
    if kind == "another column" and form.dataset in ("bp4d", "dfew"):
        lines = [f"{line},{'note' if number == 0 else 'x'}" for number, line in enumerate(lines)]
    if kind == "spaces":
        lines = [line.replace(",", " , ") for line in lines]
    text = "\n".join(lines) + ("" if kind == "no last newline" else "\n")
    if kind == "blank end":
        text += "\n" * int(chance.integers(1, 5))
    text = text.replace("\n", {"crlf": "\r\n", "old mac": "\r"}.get(kind, "\n"))
    return text.encode("utf-8-sig" if kind == "bom" else "utf-8")


def stats(command: Callable[..., Any], dataset: str, root: Path) -> Any:
    return command("data", "stats", dataset, "--data-root", f"{dataset}={root}", "--json")


@pytest.mark.cases("labels", *product((*BAD, *GOOD), WRITERS), names=("change", "dataset"))
def test_a_changed_label_file_is_refused_by_row_or_means_the_same(
    command: Callable[..., Any],
    refused: Callable[..., str],
    tmp_path: Path,
    change: str,
    dataset: str,
    chance: np.random.Generator,
) -> None:
    root = tmp_path / dataset
    form = WRITERS[dataset](root)
    if change in GOOD:
        _write(root / form.file, form.text.encode())
        calm = stats(command, dataset, root)
        _write(root / form.file, rewritten(form, change, chance))
        assert (calm.code, stats(command, dataset, root)) == (0, calm)
        return
    content, row = changed(form, change, chance)
    _write(root / form.file, content)
    said = refused(stats(command, dataset, root), 3, lines=None)
    assert form.file in said
    if row is not None:
        assert f"{form.file} row {row}: " in said
