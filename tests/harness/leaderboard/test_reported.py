import json
from pathlib import Path

import pytest

from auharness import registry
from auharness.errors import IntegrityError
from auharness.leaderboard.reported import ReportedFile, read_reported

AVERAGES = {
    "bp4d-to-disfa": {
        "DRML": 14.1,
        "JAA-Net": 23.8,
        "ME-GraphAU": 33.1,
        "FG-Net": 54.4,
        "AUFormer": 43.6,
        "AU-TTT": 48.7,
    },
    "disfa-to-bp4d": {
        "DRML": 36.3,
        "JAA-Net": 36.2,
        "ME-GraphAU": 42.7,
        "FG-Net": 49.0,
        "AUFormer": 56.1,
        "AU-TTT": 57.2,
    },
}  # Table II


@pytest.mark.parametrize("protocol", AVERAGES)
def test_table_2_holds_the_printed_averages(protocol: str) -> None:
    (table,) = read_reported(registry.load("protocol", protocol))
    assert {name: table.row(name).cells["mean"] for name in AVERAGES[protocol]} == AVERAGES[protocol]


def test_table_1_has_fifteen_methods_on_both_data_sets() -> None:
    bp4d = read_reported(registry.load("protocol", "bp4d-3fold"))[0]
    disfa = read_reported(registry.load("protocol", "disfa-3fold"))[0]
    assert [row.method for row in bp4d.rows] == [row.method for row in disfa.rows]
    assert len(bp4d.rows) == 15
    assert (bp4d.row("AU-TTT").cells["mean"], disfa.row("AU-TTT").cells["mean"]) == (65.6, 66.4)


def test_table_3_names_the_variants_of_the_model() -> None:
    table = read_reported(registry.load("protocol", "bp4d-3fold"))[1]
    assert tuple(row.variant for row in table.rows) == registry.load("model", "au-ttt").variants
    assert [row.cells["mean"] for row in table.rows] == [58.9, 60.1, 60.4, 61.2, 61.7, 62.1]


def test_a_protocol_whose_file_is_not_there_has_no_reported_rows() -> None:
    assert read_reported(registry.load("protocol", "bp4d-to-disfa-fgnet")) == ()


def stored() -> dict[str, object]:
    path = registry.source_file("protocol", "disfa-3fold").with_name("disfa_3fold.reported.json")
    content: dict[str, object] = json.loads(path.read_text())
    return content


@pytest.mark.parametrize(
    ("place", "value", "message"),
    [
        (("schema_version",), 2, "schema_version"),
        (("colour",), "red", "colour"),
        (("protocol",), "bp4d-3fold", "expected 'disfa-3fold'"),
        (("tables", 0, "rows", 0, "cells"), {"mean": 126.7}, "less than or equal to 100"),
        (("tables", 0, "rows", 0, "cells"), {"AU12": 26.7, "mena": 1.0}, "'mena' is not scored; did you mean 'mean'"),
        (("tables", 0, "rows", 0, "bold"), ["AU1"], "marked and has no cell"),
        (("tables", 0, "rows", 1, "method"), "DRML", "listed twice"),
        (("tables", 0, "claims", 0, "method"), "AU-TTTT", "did you mean 'AU-TTT'"),
        (("tables", 0, "link"), "javascript:alert(1)", "link"),
    ],
)
def test_a_damaged_file_is_refused_with_its_place(
    place: tuple[str | int, ...], value: object, message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    content = stored()
    target: object = content
    for step in place[:-1]:
        target = target[step]  # type: ignore[index]  # nested json
    target[place[-1]] = value  # type: ignore[index]  # nested json
    (tmp_path / "disfa_3fold.reported.json").write_text(json.dumps(content))
    monkeypatch.setattr(registry, "source_file", lambda kind, name: tmp_path / "disfa_3fold.py")
    with pytest.raises(IntegrityError, match=r"reported\.json") as caught:
        read_reported(registry.load("protocol", "disfa-3fold"))
    assert message in str(caught.value)


def test_the_stored_files_are_the_schema_without_loss() -> None:
    content = stored()
    assert ReportedFile.model_validate(content).model_dump(mode="json", exclude_defaults=True)["tables"]
