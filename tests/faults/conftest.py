"""How many faults and bad inputs the suite holds, and how one case of an area is dealt to a test.

A test marked `cases(AREA, KIND, ...)` runs as often as `AREAS` says, times `--fault-factor`. Case `n` has the kind
`n modulo number of kinds` and a generator of its own, so that every further case of a kind falls on another place.
A kind is a word, given to the argument `kind`, or a tuple of words, given to the arguments called `names`.
"""

import shutil
import zlib
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, Literal, NamedTuple

import numpy as np
import pytest

import auharness
from auharness.results.store import iter_runs
from auharness.results.verify import verify_runs


class Area(NamedTuple):
    """A row of the matrix."""

    what: Literal["fault", "input"]
    number: int
    """Cases at factor 1."""
    file: str
    """Test file of this folder."""


AREAS = {
    "disk": Area("fault", 40, "test_disk.py"),
    "checkpoints": Area("fault", 48, "test_checkpoints.py"),
    "weights files": Area("fault", 40, "test_weights_files.py"),
    "finished units": Area("fault", 40, "test_store.py"),
    "records": Area("fault", 48, "test_store.py"),
    "crop cache": Area("fault", 24, "test_crop_cache.py"),
    "not finite": Area("fault", 30, "test_not_finite.py"),
    "out of memory": Area("fault", 30, "test_out_of_memory.py"),
    "plugins at work": Area("fault", 36, "test_plugins_at_work.py"),
    "images": Area("input", 90, "test_media.py"),
    "videos": Area("input", 36, "test_media.py"),
    "landmark files": Area("input", 36, "test_media.py"),
    "labels": Area("input", 100, "test_labels.py"),
    "label workbooks": Area("input", 40, "test_workbooks.py"),
    "config files": Area("input", 36, "test_settings.py"),
    "settings": Area("input", 36, "test_settings.py"),
    "predictions": Area("input", 30, "test_predictions.py"),
    "hostile texts": Area("input", 60, "test_hostile_texts.py"),
    "paths": Area("input", 24, "test_paths.py"),
}


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line(
        "markers", "cases(area, *kinds, names=): one test per case of an area of tests/faults/conftest.py"
    )


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    mark = metafunc.definition.get_closest_marker("cases")
    if mark is None:
        return
    area, *kinds = mark.args
    words = [kind if isinstance(kind, tuple) else (kind,) for kind in kinds]
    count = AREAS[area].number * metafunc.config.getoption("fault_factor")
    dealt = [(*words[number % len(words)], number) for number in range(count)]
    ids = [f"{number}-{'/'.join(kind)}" for *kind, number in dealt]
    metafunc.parametrize((*mark.kwargs.get("names", ["kind"]), "chance"), dealt, indirect=["chance"], ids=ids)


@pytest.fixture
def chance(request: pytest.FixtureRequest) -> np.random.Generator:
    """Random numbers of one case."""
    return np.random.default_rng([request.param, zlib.crc32(request.node.originalname.encode())])


@pytest.fixture
def areas() -> dict[str, Area]:
    return AREAS


@pytest.fixture
def refused() -> Callable[..., str]:
    """Check that an answer is an error of the contract, and return what it says."""

    def check(answer: Any, *codes: int, lines: int | None = 1) -> str:
        """`lines` is None where a message lists every bad row on a line of its own."""
        assert answer.code in codes, (answer.code, answer.err)
        said: list[str] = answer.err.splitlines()
        assert said and all(line.startswith("auharness: error: ") for line in said), answer.err
        assert lines is None or len(said) == lines, answer.err
        assert "Traceback" not in answer.err
        return str(answer.err)

    return check


Marks = dict[Path, tuple[int, bytes]]


@pytest.fixture
def finished_marks() -> Callable[[Path], Marks]:
    """Return the completion marks below a folder of runs, with times and contents; every digest must hold."""

    def read(runs: Path) -> Marks:
        assert verify_runs(runs)[1] == []
        marks: Iterable[Path] = (
            run.unit_folder(ref.unit_id) / "unit.json" for run in iter_runs(runs) for ref in run.record.units
        )
        return {mark: (mark.stat().st_mtime_ns, mark.read_bytes()) for mark in marks if mark.is_file()}

    return read


@pytest.fixture(scope="session")
def one_fold(bp4d_mini: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of runs with a finished fold of the constant model. Not to be changed."""
    return _finished(tmp_path_factory, bp4d_mini, "constant", {})


@pytest.fixture(scope="session")
def one_trained_fold(bp4d_mini: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of runs with a finished fold of a trained model. Not to be changed."""
    return _finished(tmp_path_factory, bp4d_mini, "small-cnn", {"widths": [8], "recipe": {"epochs": 1}})


@pytest.fixture
def fold_copy(one_fold: Path, tmp_path: Path) -> Path:
    """A copy of `one_fold` that a test may spoil, where `run_words` goes on."""
    return Path(shutil.copytree(one_fold, tmp_path / "runs"))


@pytest.fixture
def trained_fold_copy(one_trained_fold: Path, tmp_path: Path) -> Path:
    """A copy of `one_trained_fold` that a test may spoil, where `run_words` goes on."""
    return Path(shutil.copytree(one_trained_fold, tmp_path / "runs"))


def _finished(factory: pytest.TempPathFactory, root: Path, model: str, settings: dict[str, Any]) -> Path:
    runs = factory.mktemp("finished") / "runs"
    options: dict[str, Any] = {"presets": "tiny", "folds": ["P1"], "device": "cpu", "jobs": 1, "runs": runs}
    auharness.run(model, "bp4d-3fold", settings=settings, data_roots={"bp4d": str(root)}, **options)
    return runs


class Bomb:
    """What a hostile file would do."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Any, tuple[str, str]]:
        return (open, (str(self.path), "w"))


@pytest.fixture
def bomb(tmp_path: Path) -> Bomb:
    """An object that leaves the file `exploded` behind (its `path`) when it is unpickled."""
    return Bomb(tmp_path / "exploded")


@pytest.fixture
def run_words(bp4d_mini: Path, tmp_path: Path) -> Callable[..., list[object]]:
    """Words of a small `auharness run`, a fraction of a second; further words follow."""

    def words(model: str = "constant", *more: object) -> list[object]:
        given: list[object] = ["run", "--model", model, "--protocol", "bp4d-3fold", "--preset", "tiny", "--quiet"]
        given += ["--data-root", f"bp4d={bp4d_mini}", "--runs", tmp_path / "runs", "--jobs", 1, "--device", "cpu"]
        if model == "small-cnn":
            given += ["--set", "widths=[8]", "--set", "recipe.epochs=1"]
        return [*given, *more]

    return words
