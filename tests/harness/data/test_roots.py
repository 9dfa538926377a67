from pathlib import Path

import pytest

from auharness.data import roots
from auharness.data.roots import RootChoice, check_origins, locate_root, parse_flags, resolve_root
from auharness.data.synthetic import standin
from auharness.errors import DataError, UsageError


@pytest.fixture
def places(tmp_path: Path) -> dict[str, Path]:
    found = {"flag": tmp_path / "flag", "env": tmp_path / "env" / "bp4d", "config": tmp_path / "config"}
    for path in found.values():
        path.mkdir(parents=True)
    return found


def choose(places: dict[str, Path], *given: str) -> RootChoice | None:
    return locate_root(
        "bp4d",
        flags={"bp4d": str(places["flag"])} if "flag" in given else {"disfa": str(places["flag"])},
        config={"bp4d": str(places["config"])} if "config" in given else {},
        env={"AUHARNESS_DATA": str(places["env"].parent)} if "env" in given else {},
    )


def test_a_flag_stands_above_the_environment_and_that_above_the_config(places: dict[str, Path]) -> None:
    assert choose(places, "flag", "env", "config") == RootChoice("bp4d", places["flag"], "licensed", "--data-root")
    assert choose(places, "env", "config") == RootChoice("bp4d", places["env"], "licensed", "AUHARNESS_DATA")
    assert choose(places, "config") == RootChoice("bp4d", places["config"], "licensed", "config")
    assert choose(places) is None


def test_a_folder_that_the_environment_lacks_falls_through(places: dict[str, Path]) -> None:
    places["env"].rmdir()
    choice = choose(places, "env", "config")
    assert choice is not None and choice.given_by == "config"


def test_a_given_root_that_is_no_folder_is_refused(places: dict[str, Path]) -> None:
    places["flag"].rmdir()
    with pytest.raises(DataError, match=r"bp4d: .*flag \(given by --data-root\) is not a folder"):
        choose(places, "flag", "config")


def test_a_given_stand_in_is_synthetic(places: dict[str, Path]) -> None:
    (places["flag"] / standin.MARK).write_text("{}")
    choice = choose(places, "flag")
    assert choice is not None and choice.origin == "synthetic"
    assert roots.MARK == standin.MARK


def test_without_a_root_the_stand_in_is_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[object] = []

    def ensure(name: str, **options: object) -> Path:
        asked.append((name, options))
        return tmp_path

    monkeypatch.setattr(standin, "ensure_standin", ensure)
    choice = resolve_root("bp4d", flags={}, config={}, env={}, size="tiny", seed=3)
    assert choice == RootChoice("bp4d", tmp_path, "synthetic", "stand-in")
    assert asked == [("bp4d", {"size": "tiny", "seed": 3, "progress": None})]


def test_licensed_and_synthetic_never_mix(tmp_path: Path) -> None:
    real = RootChoice("bp4d", tmp_path, "licensed", "--data-root")
    made = RootChoice("disfa", tmp_path, "synthetic", "stand-in")
    with pytest.raises(UsageError, match=r"never mix in one run: bp4d .* is licensed, disfa .*give --data-root disfa="):
        check_origins([made, real])
    assert check_origins([real, real]) == "licensed" and check_origins([made]) == "synthetic"


@pytest.mark.parametrize("value", ["bp4d", "=x", "bp4d=", ""])
def test_a_root_flag_without_name_or_path_is_refused(value: str) -> None:
    with pytest.raises(UsageError, match="expected dataset=PATH"):
        parse_flags([value])


def test_a_dataset_is_given_once() -> None:
    assert parse_flags(["a=x=y", "b=z"]) == {"a": "x=y", "b": "z"}
    with pytest.raises(UsageError, match="a is given twice"):
        parse_flags(["a=1", "a=2"])
