"""AU notations of the micro-expression sheets: the text of one cell to the AU numbers that it names.

Laterality (`L12`, `R14`), place (`T18` top, `B23` bottom) and intensity (`7B`, `A12`, `A9E`, `10A/B`, `A/L12`) are read
and dropped: a unilateral or weak movement is present. Sheets leave two things open, which policies decide:

- alternatives, `(R6 or R12)+R15`, `L12 or L14`, `R14A or 17A or 24A`: the coder did not decide;
- references, `ref(7B)+43`: whether what stands in the brackets counts.

A kept AU, `4(k)`, is sustained through the clip, so nothing moves and it does not count. A lone `?` and the remarks
`offset` and `soft focus` name no AU. Digits are never joined: `R12 or R14` is not AU 1214. A text that fits no notation
is an error and not a guess.
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Literal

from auharness.errors import DataError

__all__ = ["NotationError", "OrPolicy", "RefPolicy", "parse_aus"]

OrPolicy = Literal["meb", "first", "second", "all", "drop"]
"""Which alternative counts: the one that the meb library chose by optical flow, a place, all of them, or none."""
RefPolicy = Literal["keep", "drop"]

CHOSEN: Mapping[tuple[int, ...], int] = {(6, 12): 12, (12, 14): 14, (14, 17, 24): 14}
"""The alternatives of the published sheets and what meb chose from them."""
EXPECTED = "AU numbers such as 4+L9+14, 7B, A/L12, ref(43) or (R6 or R12)+R15, or ? for none"
# a side, place or intensity on either side of the number: L12, A/L12, R14A, 10A/B
AU = r"(?:AU\s*)?(?:[A-ELRT](?:/[A-ELRT])?\s*)?(?P<au>[1-9][0-9]?)\s*(?:[A-E](?:/[A-E])?(?![A-Z]))?"
TOKEN = re.compile(
    rf"\s*(?:(?P<kept>\(\s*k\s*\))|(?P<remark>\(?\s*(?:offset|soft\s+focus)\s*\)?)|(?P<ref>ref\s*\()|(?P<open>\()"
    rf"|(?P<close>\))|(?P<plus>[+,\uff0c])|(?P<or>or\b)|{AU}(?![0-9]))\s*",
    re.IGNORECASE,
)


class NotationError(DataError):
    """A text is no AU notation, or its policy leaves it open; `expected` says what would be sound."""

    def __init__(self, text: str, expected: str) -> None:
        super().__init__(f"AU notation {text!r}: expected {expected}")
        self.expected = expected


def parse_aus(text: str, *, or_policy: OrPolicy = "meb", ref_policy: RefPolicy = "keep") -> tuple[int, ...]:
    """Return the AU numbers that a cell names, ascending; empty for an empty cell and for `?`.

    Raises:
        NotationError: if the text fits no notation, mixes `or` and `+` without brackets, or if `meb` never met these
            alternatives.

    >>> parse_aus("4+L9+14"), parse_aus("ref(7B)+43"), parse_aus("(R6 or R12)+R15")
    ((4, 9, 14), (7, 43), (12, 15))
    >>> parse_aus("L12 or L14", or_policy="all"), parse_aus("ref(7B)+43", ref_policy="drop")
    ((12, 14), (43,))
    """
    if text.strip() in ("", "?"):
        return ()
    tokens = _tokens(text)
    cell = _Cell(text, tokens, or_policy, ref_policy)
    found = cell.sum()
    if cell.at != len(tokens):
        raise NotationError(text, EXPECTED)
    return tuple(sorted(found))


def _tokens(text: str) -> list[tuple[str, str]]:
    """Return (kind, value) of every token; the value of an AU is its number."""
    tokens = []
    at = 0
    while at < len(text):
        match = TOKEN.match(text, at)
        if match is None:
            raise NotationError(text, EXPECTED)
        kind = str(match.lastgroup)
        tokens.append((kind, match[kind]))
        at = match.end()
    return tokens


@dataclass
class _Cell:
    """One cell while it is read from left to right: sum = item (+ item)* or item (or item)+."""

    text: str
    tokens: list[tuple[str, str]]
    or_policy: OrPolicy
    ref_policy: RefPolicy
    at: int = 0

    def sum(self) -> set[int]:
        items = [self.item()]
        joint = self.peek()
        while joint in ("plus", "or") and self.peek() == joint:
            self.at += 1
            items.append(self.item())
        if self.peek() in ("plus", "or"):
            raise NotationError(self.text, "brackets around the alternatives, as in (R6 or R12)+R15")
        return self.choose(items) if joint == "or" else set().union(*items)

    def item(self) -> set[int]:
        kind, value = self.tokens[self.at] if self.at < len(self.tokens) else ("end", "")
        self.at += 1
        if kind == "au":
            found = {int(value)}
        elif kind == "remark":
            found = set()
        elif kind in ("open", "ref"):
            found = self.sum()
            self.expect("close")
            found = set() if kind == "ref" and self.ref_policy == "drop" else found
        else:
            raise NotationError(self.text, EXPECTED)
        if kind == "au" and self.peek() == "remark":
            self.at += 1
        if self.peek() == "kept":
            self.at += 1
            return set()
        return found

    def choose(self, items: list[set[int]]) -> set[int]:
        """Return what the policy takes from alternatives."""
        places: dict[str, Callable[[], set[int]]] = {
            "first": lambda: items[0],
            "second": lambda: items[1],
            "all": lambda: set().union(*items),
            "drop": lambda: set(),
        }
        if self.or_policy in places:
            return places[self.or_policy]()
        options = tuple(au for item in items for au in sorted(item))
        if options not in CHOSEN:
            named = " or ".join(f"AU{au}" for au in options)
            raise NotationError(self.text, f"or_policy first, second, all or drop, as meb has no choice for {named}")
        return {CHOSEN[options]}

    def peek(self) -> str:
        return self.tokens[self.at][0] if self.at < len(self.tokens) else "end"

    def expect(self, kind: str) -> None:
        if self.peek() != kind:
            raise NotationError(self.text, EXPECTED)
        self.at += 1
