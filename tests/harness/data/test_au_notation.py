import re
from collections.abc import Sequence

import pytest

from auharness.data.au_notation import NotationError, OrPolicy, parse_aus


@pytest.mark.parametrize(
    ("text", "aus"),
    [
        # CASME II
        ("4", (4,)),
        ("4+7", (4, 7)),
        ("L12", (12,)),
        ("R14", (14,)),
        ("L1+L2", (1, 2)),
        ("4+R10", (4, 10)),
        ("R2+15", (2, 15)),
        ("4+L9+14", (4, 9, 14)),
        ("L2+26+38", (2, 26, 38)),
        ("?", ()),
        # SAMM
        ("7B", (7,)),
        ("4D+9B", (4, 9)),
        ("A12", (12,)),
        ("A9E", (9,)),
        ("B18", (18,)),
        ("10A/B", (10,)),
        ("4A/B", (4,)),
        ("A/L12", (12,)),
        ("ref(7B)+43", (7, 43)),
        ("7B+ ref(43)", (7, 43)),
        ("T18", (18,)),
        ("R12 + R15", (12, 15)),
        ("12+15 ", (12, 15)),
        ("R14+17+soft focus", (14, 17)),
        # CAS(ME)3 and 4DME
        ("T28+14", (14, 28)),
        ("B23", (23,)),
        ("4,7", (4, 7)),
        ("4\uff0c7", (4, 7)),
        ("AU4+AU7", (4, 7)),
        ("AU4 offset", (4,)),
        ("", ()),
    ],
)
def test_every_published_notation_names_its_aus(text: str, aus: tuple[int, ...]) -> None:
    assert parse_aus(text) == aus


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("(R6 or R12)+R15", [(12, 15), (6, 15), (12, 15), (6, 12, 15), (15,)]),
        ("(R6 or R12) + R15", [(12, 15), (6, 15), (12, 15), (6, 12, 15), (15,)]),
        ("L12 or L14", [(14,), (12,), (14,), (12, 14), ()]),
        ("R12 or R14", [(14,), (12,), (14,), (12, 14), ()]),
        ("R14A or 17A or 24A", [(14,), (14,), (17,), (14, 17, 24), ()]),
    ],
)
def test_alternatives_follow_the_policy(text: str, wanted: Sequence[tuple[int, ...]]) -> None:
    policies: tuple[OrPolicy, ...] = ("meb", "first", "second", "all", "drop")
    assert [parse_aus(text, or_policy=policy) for policy in policies] == wanted
    assert parse_aus(text) == wanted[0]


def test_the_policies_give_the_published_totals_of_samm_au12() -> None:
    # 26 sure rows and these four that leave it open (micro-expression sheets, all 159 rows of SAMM)
    texts = [*["12"] * 26, "(R6 or R12)+R15", "(R6 or R12)+R15", "L12 or L14", "R12 or R14"]
    wanted: dict[OrPolicy, int] = {"drop": 26, "first": 28, "second": 28, "meb": 28, "all": 30}
    assert {policy: sum(12 in parse_aus(t, or_policy=policy) for t in texts) for policy in wanted} == wanted


def test_references_count_unless_dropped() -> None:
    assert parse_aus("ref(L10)+A12B") == (10, 12)
    assert parse_aus("ref(L10)+A12B", ref_policy="drop") == (12,)


def test_an_au_that_is_kept_through_the_clip_does_not_count() -> None:
    assert parse_aus("AU4(k)+AU7") == (7,)


@pytest.mark.parametrize(
    "text", ["1214", "4+", "+4", "4++7", "x4", "L", "4 7", "0", "04", "(4", "4)", "ref(4", "4 or", "12F", "4?", "a b"]
)
def test_what_fits_no_notation_is_an_error_that_shows_the_text(text: str) -> None:
    with pytest.raises(NotationError, match=rf"^AU notation '{re.escape(text)}': expected AU numbers such as 4\+L9"):
        parse_aus(text)


def test_alternatives_beside_a_plus_need_brackets() -> None:
    with pytest.raises(NotationError, match="expected brackets around the alternatives"):
        parse_aus("R6 or R12+R15", or_policy="first")


def test_meb_does_not_guess_between_alternatives_that_it_never_met() -> None:
    with pytest.raises(
        NotationError, match="or_policy first, second, all or drop, as meb has no choice for AU1 or AU2"
    ):
        parse_aus("L1 or L2")
    assert parse_aus("L1 or L2", or_policy="first") == (1,)
