import pytest

from auharness import registry
from auharness.leaderboard.published import published_floors


@pytest.mark.parametrize(
    ("protocol", "expected"),
    [("bp4d-3fold", 48.04), ("disfa-3fold", 18.59), ("disfa-to-bp4d", 46.6), ("bp4d-to-disfa", 16.3)],
)
def test_the_always_present_floor_is_the_one_of_the_published_counts(protocol: str, expected: float) -> None:
    floors = published_floors(registry.load("protocol", protocol))
    assert 100 * floors["constant-1"] == pytest.approx(expected, abs=0.05 if expected * 10 % 1 == 0 else 0.005)
    assert floors["constant-0"] == 0
    assert 0 < floors["random-prior"] < floors["constant-1"]


def test_a_protocol_of_unpublished_data_has_no_floors() -> None:
    class Unpublished(registry.load("protocol", "bp4d-3fold")):  # type: ignore[misc]  # a class known at run time
        train_on = ("nobody",)
        test_on = ("nobody",)

    assert published_floors(Unpublished) == {}
