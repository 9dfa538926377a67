"""Texts of other people's records and files that would come to life in a page, a table or a terminal stay text."""

import csv
import io
import json
from collections.abc import Callable
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from markdown_it import MarkdownIt

from auharness.leaderboard import write_page

TEXTS: dict[str, tuple[str, ...]] = {
    "script": ("<script>alert(1)</script>", "<img src=x onerror=alert(1)>", "</td><svg/onload=alert(1)>", "<!--"),
    "link": (
        "[a](javascript:alert(1))",
        "![x](http://x.example/p)",
        "javascript:alert(1)",
        "<http://x.example>",
        "[a]: x",
    ),
    "bars": ("a | b | c", "|\n|--|\n|x|", "a \\| b", "||||"),
    "ticks": ("`x`", "```\ncode\n```", "`` ` ``", "~~~"),
    "lines": ("a\nb", "a\r\n# head", "a\u2028b", "\n\n---\n\n", "\x85x"),
    "formula": ("=1+1", "+cmd|' /C calc'!A0", "-2+3", "@SUM(A1)", "\t=1", "\u200b=1", '=HYPERLINK("http://x.example")'),
    "order": ("\u202egnp.exe", "\u2066x\u2069", "a\u200fb", "\ufeffx"),
    "control": ("\x1b[31mred", "a\x00b", "\x07", "\x9b2J", "\u0000"),
    "entity": ("&lt;script&gt;", "&#x3c;b&#x3e;", "&amp;", "&colon;"),
    "template": ("{{ 7*7 }}", "${7*7}", "%s%n", "{0.__class__}", "{% for x in y %}"),
}
FIELDS = ("preset", "pretrained_on", "extra_data", "model", "headline", "device")
FILES = ("md", "csv", "json")


@pytest.mark.cases("hostile texts", *product(TEXTS, FIELDS), names=("name", "field"))
def test_a_hostile_text_stays_text_in_every_format(
    command: Callable[..., Any], fold_copy: Path, name: str, field: str, chance: np.random.Generator
) -> None:
    text = str(chance.choice(TEXTS[name])) + str(chance.choice(["", " tail", "|", "`"]))
    found = 0
    for path in (*fold_copy.rglob("run.json"), *fold_copy.rglob("unit.json")):
        record = json.loads(path.read_text())
        if field in record:
            found += 1
            path.write_text(json.dumps({**record, field: text}))
    assert found
    page = write_page(fold_copy, "bp4d-3fold")
    _check_markdown(page.read_text())
    _check_csv(page.with_suffix(".csv").read_text())
    raw = page.with_suffix(".json").read_text()
    assert raw.isascii() and not set("<>&") & set(raw) and json.loads(raw)["rows"]
    for words in (("status",), ("status", "--json")):
        answer = command(*words, "--runs", fold_copy)
        assert answer.code == 0
        if words[-1] == "--json":
            json.loads(answer.out)


def _check_markdown(text: str) -> None:
    """No HTML and no picture but the page's own comes to life, and every table row has as many cells as its header."""
    reader = MarkdownIt("commonmark", {"html": True, "linkify": False}).enable(["table", "strikethrough"])
    tokens = reader.parse(text)
    assert not [token for token in tokens if token.type in ("html_block", "fence", "code_block")]
    inline = [child for token in tokens for child in token.children or ()]
    assert not [child for child in inline if child.type == "html_inline"]
    links = [str(child.attrs.get("href", child.attrs.get("src", ""))) for child in inline if child.attrs]
    assert not [link for link in links if "javascript" in link or "x.example" in link]
    rows = [line for line in text.splitlines() if line.startswith("|")]
    blocks = [block for block in text.split("\n\n") if block.startswith("|")]
    assert rows and all(len({_cells(line) for line in block.splitlines()}) == 1 for block in blocks)


def _cells(line: str) -> int:
    return line.replace("\\|", "").count("|")


def _check_csv(text: str) -> None:
    rows = list(csv.reader(io.StringIO(text), strict=True))
    assert len({len(row) for row in rows}) == 1
    for cell in (cell for row in rows for cell in row):
        assert cell.isprintable()
        if cell[:1] in ("=", "+", "@", "-"):
            float(cell)  # a number


@pytest.mark.parametrize("name", TEXTS)
def test_a_hostile_name_of_predictions_is_refused_by_its_form(
    command: Callable[..., Any], refused: Callable[..., str], bp4d_mini: Path, tmp_path: Path, name: str
) -> None:
    (tmp_path / "p.csv").write_text("sample_id\n")
    for text in TEXTS[name]:
        words = ("--protocol", "bp4d-3fold", "--predictions", tmp_path / "p.csv", "--runs", tmp_path / "runs")
        answer = command("score", *words, "--data-root", f"bp4d={bp4d_mini}", f"--name={text}")
        refused(answer, 2, lines=None)
    assert not (tmp_path / "runs").exists()


@pytest.mark.parametrize("name", TEXTS)
def test_a_hostile_word_on_the_command_line_steers_no_terminal(
    command: Callable[..., Any], refused: Callable[..., str], name: str
) -> None:
    for text in TEXTS[name]:
        for word in (f"--model={text}", f"--data-root={text}"):
            said = refused(command("run", word), 2, lines=None)
            assert all(letter.isprintable() or letter == "\n" for letter in said)
