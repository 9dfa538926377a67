import pytest

from auharness.data.published import read_counts


@pytest.mark.parametrize(
    ("name", "rates"),
    [
        ("bp4d", [21.1, 17.1, 20.3, 46.1, 54.9, 59.4, 56.2, 46.6, 16.9, 34.3, 16.5, 15.1]),
        ("disfa", [5.0, 4.3, 15.2, 7.9, 4.2, 12.9, 27.7, 8.8]),
    ],
)
def test_rates_are_the_published_ones(name: str, rates: list[float]) -> None:
    counts = read_counts(name)
    frames = sum(coded for coded, _ in counts.values())
    aus = next(iter(counts.values()))[1]
    found = [100 * sum(positives[au] for _, positives in counts.values()) / frames for au in aus]
    # DISFA's AU2 and AU26 lie on the edge of the printed digit
    assert found == pytest.approx(rates, abs=0.051)


def test_sequences_are_summed_per_subject() -> None:
    frames, positives = read_counts("bp4d")["F001"]
    # the eight tasks of F001, added up by hand
    assert frames == 553 + 574 + 273 + 509 + 518 + 493 + 486 + 528
    assert positives[1] == 320 + 134 + 0 + 0 + 0 + 53 + 162 + 6
