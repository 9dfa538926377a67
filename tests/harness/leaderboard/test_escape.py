import csv
import io
import json

import pytest
from markdown_it import MarkdownIt

from auharness.leaderboard.escape import clean, csv_cell, json_text, markdown

HOSTILE = [
    "<script>alert(1)</script>",
    "<img src=x onerror=alert(1)>",
    "[click](javascript:alert(1))",
    "![x](https://evil.example/p.png)",
    "a | b | c",
    "`rm -rf`",
    "one\ntwo\r\n# three",
    "\u202egnp.exe",
    "=HYPERLINK(1)",
    "https://evil.example",
    "www.evil.example",
    "a@evil.example",
    "[a][b]",
    "**bold** __bold__ ~~gone~~",
    "\x00\x1b[31mred",
    "\\| x",
    "&lt;b&gt;",
]


@pytest.mark.parametrize("text", HOSTILE)
def test_a_hostile_name_stays_text_in_one_markdown_cell(text: str) -> None:
    page = f"| name | F1 |\n|:--|--:|\n| {markdown(text)} | 48.04 |\n"
    reader = MarkdownIt("commonmark", {"html": True}).enable(["table", "strikethrough"])
    tokens = reader.parse(page)
    cells = [token for token in tokens if token.type == "inline"]
    assert len(cells) == 4
    shown = cells[2].children or []
    assert {child.type for child in shown} <= {"text", "text_special"}
    assert "".join(child.content for child in shown) == clean(text)


def test_no_link_grows_out_of_a_bare_address() -> None:
    for text in ("https://evil.example", "www.evil.example", "a@evil.example", "mailto:a@b.example"):
        assert "://" not in markdown(text)
        assert "www." not in markdown(text)
        assert "@" not in markdown(text)


def test_usual_names_are_not_changed() -> None:
    for text in ("au-ttt", "tiny,bi-ttt", "my_net", "JAA-Net [17]", "recipe.epochs=6", "Forward TTT + MSP: 61.2"):
        assert markdown(text) == text


@pytest.mark.parametrize("text", ["=1+1", "+1", "-1", "@SUM(A1)", "\t=1+1", " =1+1", "\u202e=1"])
def test_a_spreadsheet_runs_no_cell(text: str) -> None:
    stream = io.StringIO()
    csv.writer(stream).writerow([csv_cell(text), csv_cell(-0.5)])
    (row,) = csv.reader(io.StringIO(stream.getvalue()))
    assert row[0].startswith("'")
    assert row[1] == "-0.5"


def test_json_can_stand_inside_html_and_reads_back() -> None:
    value = {"model": "</script><script>alert(1)</script>\u202e", "n": 1.5, "none": None}
    text = json_text(value)
    assert "<" not in text
    assert text.isascii()
    assert json.loads(text) == value


def test_json_refuses_nan() -> None:
    with pytest.raises(ValueError, match="JSON compliant"):
        json_text({"score": float("nan")})
