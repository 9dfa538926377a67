from pathlib import Path

import pytest

from auharness.leaderboard.figure import draw_generalisation, is_drawn
from auharness.leaderboard.generalisation import Generalisation, generalisations
from auharness.leaderboard.memory import Memory
from auharness.leaderboard.page import make_page

PROTOCOLS = ("bp4d-3fold", "bp4d-to-disfa", "bp4d-to-disfa-fgnet", "disfa-3fold", "disfa-to-bp4d")


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory) -> Generalisation:
    root = tmp_path_factory.mktemp("runs")
    (only,) = generalisations({name: make_page(root, name, memory=Memory()) for name in PROTOCOLS})
    return only


def test_the_gap_is_computed_for_the_six_methods_of_figure_1(found: Generalisation) -> None:
    assert found.name == "au-ttt"
    assert {row.method: (row.within, row.across) for row in found.rows} == {
        "DRML": (37.5, 25.2),
        "JAA-Net": (62.95, 30.0),
        "ME-GraphAU": (63.95, 37.9),
        "FG-Net": (64.85, 51.7),
        "AUFormer": (66.3, 49.85),
        "AU-TTT": (66.0, 52.95),
    }  # (48.3 + 26.7) / 2, (14.1 + 36.3) / 2, ... of Tables I and II
    assert [row.method for row in found.rows][:3] == ["DRML", "AU-TTT", "FG-Net"]


def test_the_floors_are_those_of_the_same_protocols(found: Generalisation) -> None:
    assert found.floor_within == pytest.approx((48.04 + 18.59) / 2, abs=0.01)
    assert found.floor_across == pytest.approx((46.57 + 16.33) / 2, abs=0.01)


def test_a_picture_knows_which_numbers_it_shows(found: Generalisation, tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    path = tmp_path / "figure.png"
    path.write_bytes(draw_generalisation(found))
    other = Generalisation(**{**vars(found), "floor_within": 1.0})
    assert is_drawn(path, found.digest)
    assert not is_drawn(path, other.digest)
    assert not is_drawn(tmp_path / "no.png", found.digest)
