"""Collects every bad row of the label files, so that a user sees all of them at once."""

from dataclasses import dataclass, field

from auharness.errors import DataError

__all__ = ["Problem", "Problems"]

LONGEST = 200
"""Characters of a bad value that a message shows."""
SHOWN = 200
"""Problems that a message lists one by one; the others are counted."""


@dataclass(frozen=True, slots=True)
class Problem:
    """One bad place in a vendor file."""

    file: str
    """Path relative to the dataset root."""
    row: int | None
    """1-based line number, the header line included; None for the file as a whole."""
    column: str
    """What is wrong: a column name, or `frame`, `image`, `header`."""
    expected: str
    got: str

    def __str__(self) -> str:
        place = self.file if self.row is None else f"{self.file} row {self.row}"
        return f"{place}: {self.column} is {self.got}, expected {self.expected}"


@dataclass(slots=True)
class Problems:
    """A collector of problems; nothing is raised before `raise_if_any`.

    >>> found = Problems("bp4d")
    >>> found.add("AUCoding/AU_OCC/F001_T1.csv", 812, column="AU12", expected="0, 1 or 9 (not coded)", got="7")
    >>> print(found.items[0])
    AUCoding/AU_OCC/F001_T1.csv row 812: AU12 is 7, expected 0, 1 or 9 (not coded)
    """

    dataset: str
    items: list[Problem] = field(default_factory=list)

    def add(self, file: str, row: int | None, *, column: str, expected: str, got: str) -> None:
        """Remember one problem; `row` is the 1-based line number or None."""
        shown = got if len(got) <= LONGEST else f"{got[:LONGEST]}... ({len(got)} characters)"
        self.items.append(Problem(file, row, column, expected, shown))

    def raise_if_any(self, hint: str) -> None:
        """Raise one error that lists all problems in the order of files and rows; `hint` is the next step.

        Raises:
            DataError: if there is any problem; the first line is a summary, each problem has a line of its own.
        """
        if not self.items:
            return
        ordered = sorted(self.items, key=lambda item: (item.file, item.row or 0, item.column))
        files = len({item.file for item in ordered})
        lines = [f"{self.dataset}: {_count(len(ordered), 'problem')} in {_count(files, 'file')}; {hint}"]
        lines += [f"  {item}" for item in ordered[:SHOWN]]
        if len(ordered) > SHOWN:
            lines.append(f"  and {len(ordered) - SHOWN} more")
        raise DataError("\n".join(lines))


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"
