"""Text from records, made harmless in every format that a board is written in.

Names, presets and remarks come from plugins and from other people's runs. They may hold table bars, markup, formulas
that a spreadsheet would run, or characters that reverse the reading order.
"""

import json
import re
import unicodedata
from typing import Any

__all__ = ["clean", "csv_cell", "json_text", "markdown"]

# an underscore between letters and a bracket that no link follows mean nothing and are left readable
_MARKUP = re.compile(r"(\A#|[\\`*~$]|\](?=[(\[:])|(?<![^\W_])_|_(?![^\W_]))")
_ENTITIES = {"&": "&amp;", "<": "&lt;", ">": "&gt;", "|": "&#124;"}
_LINK = re.compile(r"(?i)\b(?:https?|ftp|file|data|mailto|xmpp|javascript|vbscript)(:)(?=\S)|\bwww(\.)|(@)")
_FORMULA = ("=", "+", "-", "@")
# categories of characters that print nothing: controls, formats (reading order, zero width), surrogates, private use
_SILENT = {"Cc", "Cf", "Cs", "Co", "Cn"}


def clean(text: object) -> str:
    r"""Return one line of visible characters: breaks become spaces, controls and reading-order marks are dropped.

    >>> clean("a\nb\u202ec")
    'a bc'
    """
    spaced = re.sub(r"\s+", " ", str(text))
    return "".join(letter for letter in spaced if unicodedata.category(letter) not in _SILENT).strip()


def markdown(text: object) -> str:
    """Return text that markdown shows as it is, also inside a table cell; links and HTML do not come to life.

    >>> markdown("tiny,bi-ttt")
    'tiny,bi-ttt'
    >>> markdown("a|b <script>")
    'a&#124;b &lt;script&gt;'
    """
    plain = "".join(_ENTITIES.get(letter, letter) for letter in clean(text))
    # bars and entities hold '#' and '&', so markup is escaped around them
    parts = re.split(r"(&(?:amp|lt|gt|#124);)", plain)
    parts[::2] = [_LINK.sub(_unlinked, _MARKUP.sub(r"\\\g<0>", part)) for part in parts[::2]]
    return "".join(parts)


def csv_cell(value: object) -> object:
    """Return a cell that a spreadsheet shows and never runs; numbers and None stay as they are.

    >>> csv_cell("=1+1"), csv_cell(-0.5)
    ("'=1+1", -0.5)
    """
    if value is None or isinstance(value, int | float):
        return value
    text = clean(value)
    return f"'{text}" if text.startswith(_FORMULA) else text


def json_text(value: Any) -> str:
    """Return indented ASCII JSON without `<`, `>` and `&`, so that it is also safe inside an HTML page.

    Raises:
        ValueError: if the value holds NaN or infinity.
    """
    text = json.dumps(value, indent=1, ensure_ascii=True, allow_nan=False)
    for letter in "<>&":
        text = text.replace(letter, f"\\u{ord(letter):04x}")
    return f"{text}\n"


def _unlinked(match: re.Match[str]) -> str:
    """The last character of a match as an entity: shown the same, but no reader makes a link of it."""
    return f"{match[0][:-1]}&#{ord(match[0][-1])};"
