"""The suite is as large as it says, and its table says what it holds."""

import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

HERE = Path(__file__).parent


def test_there_are_three_hundred_faults_and_three_hundred_bad_inputs(
    areas: Mapping[str, Any], record_property: Callable[[str, object], None], pytestconfig: pytest.Config
) -> None:
    factor = pytestconfig.getoption("fault_factor")
    counts = {what: sum(area.number for area in areas.values() if area.what == what) for what in ("fault", "input")}
    told = f"{factor * counts['fault']} faults, {factor * counts['input']} bad inputs, in {len(areas)} areas"
    record_property("measured", told)
    assert min(counts.values()) >= 300


def test_every_area_is_run_by_exactly_one_test_of_its_file(areas: Mapping[str, Any]) -> None:
    found = [
        (match[1], path.name)
        for path in sorted(HERE.glob("test_*.py"))
        for match in re.finditer(r'^@pytest\.mark\.cases\(\s*"([^"]+)"', path.read_text(encoding="utf-8"), re.MULTILINE)
    ]
    assert sorted(found) == sorted((name, area.file) for name, area in areas.items())


def test_the_table_of_the_readme_has_the_numbers_of_the_suite(areas: Mapping[str, Any]) -> None:
    lines = (HERE / "README.md").read_text(encoding="utf-8").splitlines()
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines if line.startswith("| ")]
    told = {row[0]: (row[2], row[3], row[4].strip("`")) for row in rows if len(row) == 6 and row[0] in areas}
    assert told == {name: (str(area.number), str(10 * area.number), area.file) for name, area in areas.items()}
