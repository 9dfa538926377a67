"""What each action unit does to the skin: pulls (displacement), creases and bulges (relief), as plain tables.

Places are given relative to a landmark of the image-left half of the face (dlib-68 index) as (out, down) in canvas
pixels, `out` pointing away from the mid-line; every entry is mirrored to the other half unless it says otherwise.
Strengths hold at intensity 1. Appearance changes follow the Facial Action Coding System (Ekman, Friesen, Hager, 2002).
"""

from typing import NamedTuple

__all__ = ["ACTION_UNITS", "LID_AUS", "RENDERED_AUS", "ActionUnit", "Bulge", "Crease", "Pull"]


class Pull(NamedTuple):
    """A Gaussian patch of skin moved by (pull_out, pull_down) pixels; `width`, `height` are standard deviations."""

    anchor: int
    out: float
    down: float
    width: float
    height: float
    pull_out: float
    pull_down: float
    mirrored: bool = True


class Crease(NamedTuple):
    """A groove along a curve through (anchor, out, down) points, `width` (standard deviation) and `depth` in pixels."""

    points: tuple[tuple[int, float, float], ...]
    width: float
    depth: float
    mirrored: bool = True


class Bulge(NamedTuple):
    """A Gaussian swelling (or pit, when negative) of `amount` pixels."""

    anchor: int
    out: float
    down: float
    width: float
    height: float
    amount: float
    mirrored: bool = True


class ActionUnit(NamedTuple):
    """All that one AU does to the skin; lids, lips and jaw are handled where they are drawn."""

    pulls: tuple[Pull, ...] = ()
    creases: tuple[Crease, ...] = ()
    bulges: tuple[Bulge, ...] = ()


def _across(anchor: int, points: tuple[tuple[float, float], ...], *, width: float, depth: float) -> Crease:
    return Crease(tuple((anchor, out, down) for out, down in points), width, depth, mirrored=False)


_CHIN_PITS = (
    (0, -19),
    (-7, -18),
    (7, -18),
    (-3.5, -13.5),
    (4, -13),
    (-10, -12),
    (10.5, -12),
    (0, -8),
    (-6, -7.5),
    (6.5, -7.5),
)

ACTION_UNITS: dict[int, ActionUnit] = {
    1: ActionUnit(
        pulls=(Pull(21, 2, 0, 15, 17, 0, -9), Pull(27, 0, -44, 26, 14, 0, -3, mirrored=False)),
        creases=tuple(
            _across(27, ((-27, y + 5), (-14, y + 1), (0, y - 2), (14, y + 1), (27, y + 5)), width=1.7, depth=2.6)
            for y in (-31, -40, -49)
        ),
    ),
    2: ActionUnit(
        pulls=(Pull(18, 0, 0, 15, 17, 0, -9.5), Pull(17, 2, 3, 10, 12, 0, -4)),
        creases=tuple(Crease(((18, -15, y - 1), (18, -3, y - 4), (18, 9, y + 1)), 1.7, 2.6) for y in (-12, -20, -28)),
    ),
    4: ActionUnit(
        pulls=(
            Pull(21, 0, 0, 13, 13, -4.5, 7),
            Pull(19, 0, 0, 14, 12, -1.5, 4.5),
            Pull(27, 0, -6, 9, 9, 0, 2.5, mirrored=False),
        ),
        creases=(
            Crease(((21, -7.2, -13), (21, -8.6, -5), (21, -7.0, 4)), 1.7, 4.0),
            Crease(((21, 0, -10), (21, -1.5, -4)), 1.5, 1.0),
            _across(27, ((-7, -2), (0, -1), (7, -2)), width=1.3, depth=1.4),
        ),
        bulges=(Bulge(21, -1, -3, 6, 7, 3), Bulge(27, 0, -16, 3.5, 8, 1.2, mirrored=False)),
    ),
    5: ActionUnit(pulls=(Pull(37, -4, -7, 14, 6, 0, -1.8),)),
    6: ActionUnit(
        pulls=(Pull(41, 3, 19, 17, 12, 0.8, -7.5), Pull(17, 0, 2, 12, 10, 0, 2)),
        creases=(
            Crease(((36, 6, -1), (36, 11, -5), (36, 17, -8)), 1.4, 2.8),
            Crease(((36, 6.5, 2), (36, 13, 1), (36, 20, 1.5)), 1.4, 3.0),
            Crease(((36, 5.5, 5.5), (36, 11, 8), (36, 17, 12)), 1.4, 2.6),
            Crease(((39, -1, 9), (41, -2, 11), (36, 3, 10)), 1.6, 2.6),
        ),
        bulges=(Bulge(41, 3, 19, 14, 7, 5),),
    ),
    7: ActionUnit(
        pulls=(Pull(41, -5, 5, 14, 5, 0, -2.4),),
        creases=(Crease(((39, 3, 6), (41, -4, 6), (36, -1, 6.5)), 1.2, 1.8),),
        bulges=(Bulge(41, -5, 2, 11, 2.6, 1.8),),
    ),
    9: ActionUnit(
        pulls=(
            Pull(31, 0, -1, 10, 10, 0.5, -6.5),
            Pull(50, -1, 0, 10, 8, 0, -3.5),
            Pull(21, -2, 2, 11, 9, -1.5, 4),
            Pull(40, 2, 12, 10, 9, -2, -4),
        ),
        creases=(
            *(
                _across(27, ((-w, y + 1.5), (0, y), (w, y + 1.5)), width=1.4, depth=2.6)
                for w, y in ((6.5, -2), (8, 4.5), (7, 11))
            ),
            Crease(((27, 8, 4), (27, 12, 13), (27, 14, 22)), 1.4, 2.6),
            Crease(((31, 2, -8), (31, 7, -1), (31, 12, 9)), 1.8, 3.0),
        ),
        bulges=(Bulge(31, 1, -3, 5, 5, 2.5), Bulge(40, 0, 10, 6, 5, 2.5)),
    ),
    10: ActionUnit(
        pulls=(
            Pull(50, 0, -1, 12, 9, 0, -5.5),
            Pull(49, 0, 0, 9, 8, 0, -3.5),
            Pull(57, 0, 0, 15, 7, 0, -2.2, mirrored=False),
            Pull(31, 1, -2, 9, 8, 1, -2.5),
            Pull(41, -8, 25, 12, 10, 0, -3),
        ),
        creases=(Crease(((31, 3, -8), (31, 9, -3), (31, 16, 7), (31, 20, 17)), 2.0, 4.0),),
        bulges=(Bulge(31, 17, -5, 9, 8, 3.8),),
    ),
    12: ActionUnit(
        pulls=(
            Pull(48, 0, 0, 14, 12, 9, -10),
            Pull(48, 9, -22, 15, 14, 1.5, -5),
            Pull(57, 0, 0, 15, 8, 0, -1.5, mirrored=False),
        ),
        creases=(Crease(((31, 3, -4), (31, 12, 4), (48, 11, -7), (48, 13, 3)), 2.1, 3.8),),
        bulges=(Bulge(48, 15, -26, 13, 10, 5.5), Bulge(48, 3, 1, 3, 3.5, -1.8)),
    ),
    14: ActionUnit(
        pulls=(Pull(48, 1, 0, 9, 8, 5, -1), Pull(48, 13, 0, 8, 10, -3, 0)),
        creases=(
            Crease(((48, 5.5, -9), (48, 9, 0), (48, 5.5, 9)), 2.2, 6.6),
            Crease(((48, 0, 0), (48, 5, -0.5)), 1.4, 3),
        ),
        bulges=(Bulge(48, 15, 0, 5, 9, 4.5), Bulge(48, 5, 0, 3.5, 4.5, -4.5)),
    ),
    15: ActionUnit(
        pulls=(
            Pull(48, 0, 1, 12, 10, 1.5, 11),
            Pull(48, -8, 8, 8, 8, 0, 2),
            Pull(57, 0, 0, 12, 7, 0, -1.2, mirrored=False),
        ),
        creases=(Crease(((48, 4, 0), (48, 7.5, 8), (48, 5, 18)), 2.1, 5.0),),
        bulges=(Bulge(48, -2, 15, 6, 5, 2.5),),
    ),
    17: ActionUnit(
        pulls=(
            Pull(8, 0, -16, 18, 12, 0, -7.5, mirrored=False),
            Pull(57, 0, 1, 15, 7, 0, -5, mirrored=False),
            Pull(51, 0, 0, 14, 6, 0, -2, mirrored=False),
            Pull(48, 0, 2, 9, 8, 0, 2),
        ),
        creases=(_across(57, ((-15, 13), (-9, 6), (0, 4), (9, 6), (15, 13)), width=1.9, depth=3.6),),
        bulges=(
            Bulge(8, 0, -14, 12, 8, 3.5, mirrored=False),
            *(Bulge(8, x, y, 1.7, 1.6, -2.4, mirrored=False) for x, y in _CHIN_PITS),
        ),
    ),
    20: ActionUnit(
        pulls=(
            Pull(48, 0, 0, 14, 11, 9.5, 2.5),
            Pull(48, 0, 14, 12, 10, 4, 3),
            Pull(57, 0, 0, 18, 6, 0, -1.8, mirrored=False),
            Pull(51, 0, 0, 18, 5, 0, 1.2, mirrored=False),
        ),
        creases=(
            Crease(((48, 9, -11), (48, 12, 0), (48, 9, 12)), 1.8, 2.8),
            Crease(((48, 3, 7), (48, 10, 12), (48, 14, 20)), 1.5, 2.0),
        ),
    ),
    23: ActionUnit(
        pulls=(
            Pull(48, 0, 0, 12, 8, -8, 0),
            Pull(51, 0, 0, 16, 5, 0, 2.6, mirrored=False),
            Pull(57, 0, 0, 16, 5, 0, -4.0, mirrored=False),
        ),
        creases=(
            *(Crease(((51, x, -1.5), (51, x * 1.1, -7.5)), 0.9, 1.9) for x in (4, 9, 14)),
            *(Crease(((57, x, 1.5), (57, x * 1.1, 6)), 0.9, 1.7) for x in (3.5, 9)),
        ),
        bulges=(Bulge(51, 0, -4, 15, 3, 2.2, mirrored=False), Bulge(57, 0, 4, 14, 3, 2.4, mirrored=False)),
    ),
    24: ActionUnit(
        pulls=(
            Pull(51, 0, 0, 19, 5, 0, 3.6, mirrored=False),
            Pull(57, 0, 0, 18, 6, 0, -5, mirrored=False),
            Pull(48, 0, 0, 7, 7, -0.8, 0.5),
        ),
        creases=(
            Crease(((48, 1, -4), (48, 4.5, 0), (48, 1, 5)), 1.5, 2.6),
            _across(57, ((-13, 3), (0, 5), (13, 3)), width=1.6, depth=2.4),
        ),
        bulges=(Bulge(51, 0, -4.5, 17, 3, 3, mirrored=False), Bulge(57, 0, 1, 15, 2.5, 2.5, mirrored=False)),
    ),
    25: ActionUnit(
        pulls=(Pull(57, 0, 0, 16, 8, 0, 4.5, mirrored=False), Pull(51, 0, 0, 15, 6, 0, -2.2, mirrored=False)),
    ),
    26: ActionUnit(
        pulls=(Pull(48, 0, 0, 10, 10, -2.5, 2.5),),
        creases=(Crease(((31, 6, 6), (48, 8, -8), (48, 8, 4)), 2.2, 1.6),),
        bulges=(Bulge(48, 16, -4, 8, 14, -2.5),),
    ),
    45: ActionUnit(pulls=(Pull(37, -4, -6, 14, 6, 0, 1.2),)),
}
"""AU number -> its pulls, creases and bulges; AU45 is the blink."""

RENDERED_AUS: tuple[int, ...] = tuple(sorted(ACTION_UNITS))
"""All AU numbers that the renderer can show."""

LID_AUS: dict[int, tuple[float, float]] = {
    4: (-0.14, 0.0),
    5: (0.62, 0.10),
    6: (-0.16, -0.62),
    7: (-0.27, -0.95),
    9: (-0.12, -0.30),
    12: (-0.04, -0.20),
    45: (-1.25, -0.55),
}
"""AU number -> relative change of the upper and lower lid's distance from the eye's axis at intensity 1."""
