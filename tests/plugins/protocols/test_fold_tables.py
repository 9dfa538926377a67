"""The published splits: fold membership, and that no table or version changes unnoticed."""

import hashlib
from importlib import import_module
from pathlib import Path

import pytest

import auharness_plugins.protocols
from auharness.api import ProtocolPlugin
from auharness.data.published import read_counts
from auharness.errors import DataError
from auharness.records import read_parts

FOLDER = Path(str(auharness_plugins.protocols.__file__)).parent


def table(text: str) -> dict[str, list[str]]:
    return {f"P{part}": line.split() for part, line in enumerate(text.strip().splitlines(), start=1)}


BP4D = table("""
    F001 F002 F008 F009 F010 F016 F018 F023 M001 M004 M007 M008 M012 M014
    F003 F005 F011 F013 F020 F022 M002 M005 M010 M011 M013 M016 M017 M018
    F004 F006 F007 F012 F014 F015 F017 F019 F021 M003 M006 M009 M015
""")
DISFA = table("""
    SN001 SN002 SN009 SN010 SN016 SN026 SN027 SN030 SN032
    SN006 SN011 SN012 SN013 SN018 SN021 SN024 SN028 SN031
    SN003 SN004 SN005 SN007 SN008 SN017 SN023 SN025 SN029
""")
ON_DISK = {
    "bp4d": [subject for part in BP4D.values() for subject in part],
    "disfa": [subject for part in DISFA.values() for subject in part],
}

# name: version and sha256 of the table; a change needs a new protocol with a higher version
PINNED = {
    "bp4d-3fold": (1, "5d8f27a4da5060fcc9531c687929af181d313f29e536681f8b72c9e68b294524"),
    "bp4d-to-disfa": (1, "b764f5bd5e9d834523aff1b1962a3952021f47c42c53d221f200fcaa2784dec7"),
    "bp4d-to-disfa-fgnet": (1, "b764f5bd5e9d834523aff1b1962a3952021f47c42c53d221f200fcaa2784dec7"),
    "disfa-3fold": (1, "ebec39b54e9a0fd407dd209cec9db7ee68d08d9be9dc2727230d45d819fe035e"),
    "disfa-to-bp4d": (1, "20983ef71d2e3d7c56ff4fd9287e047ee885baa13f3ff3e7c63cd674b6492229"),
    "disfa-to-bp4d-fgnet": (1, "20983ef71d2e3d7c56ff4fd9287e047ee885baa13f3ff3e7c63cd674b6492229"),
}


class Disk:
    """An index that holds some subjects."""

    def __init__(self, **subjects: list[str]) -> None:
        self.held = {**ON_DISK, **subjects}

    def subjects(self, dataset: str) -> tuple[str, ...]:
        return tuple(sorted(self.held[dataset]))

    def clips(self, dataset: str) -> tuple[str, ...]:
        raise AssertionError("these protocols split by subject")


def protocol(name: str) -> ProtocolPlugin:
    module = import_module(f"auharness_plugins.protocols.{name.replace('-', '_')}")
    plugin = module.auharness_protocol()()
    assert plugin.name == name
    return plugin


def keys(dataset: str, *parts: list[str]) -> set[tuple[str, str]]:
    return {(dataset, subject) for part in parts for subject in part}


@pytest.mark.parametrize("name", sorted(PINNED))
def test_version_and_table_are_pinned(name: str) -> None:
    path = FOLDER / f"{name.replace('-', '_')}.csv"
    assert (protocol(name).version, hashlib.sha256(path.read_bytes()).hexdigest()) == PINNED[name]


@pytest.mark.parametrize(("name", "dataset", "parts"), [("bp4d-3fold", "bp4d", BP4D), ("disfa-3fold", "disfa", DISFA)])
def test_each_part_is_tested_once_and_the_others_train(name: str, dataset: str, parts: dict[str, list[str]]) -> None:
    folds = protocol(name).folds(Disk())
    assert [fold.name for fold in folds] == ["P1", "P2", "P3"]
    for fold in folds:
        assert fold.test_ids == keys(dataset, parts[fold.name])
        assert fold.train_ids == keys(dataset, *(parts[part] for part in parts if part != fold.name))


@pytest.mark.parametrize(
    ("name", "source", "source_parts", "target", "target_parts"),
    [("bp4d-to-disfa", "bp4d", BP4D, "disfa", DISFA), ("disfa-to-bp4d", "disfa", DISFA, "bp4d", BP4D)],
)
def test_every_pair_of_source_parts_trains_and_the_whole_target_is_tested(
    name: str, source: str, source_parts: dict[str, list[str]], target: str, target_parts: dict[str, list[str]]
) -> None:
    plugin = protocol(name)
    folds = plugin.folds(Disk())
    assert [fold.name for fold in folds] == ["P1+P2", "P1+P3", "P2+P3"]
    for fold in folds:
        assert fold.train_ids == keys(source, *(source_parts[part] for part in fold.name.split("+")))
        assert fold.test_ids == keys(target, *target_parts.values())
    assert (plugin.train_on, plugin.test_on) == ((source,), (target,))
    assert plugin.columns == ("AU1", "AU2", "AU4", "AU6", "AU12")
    assert plugin.aggregation == "fold-mean"


@pytest.mark.parametrize(
    ("name", "source", "source_parts", "target", "target_parts"),
    [("bp4d-to-disfa-fgnet", "bp4d", BP4D, "disfa", DISFA), ("disfa-to-bp4d-fgnet", "disfa", DISFA, "bp4d", BP4D)],
)
def test_the_fgnet_variant_trains_on_p2_and_p3_and_tests_p1(
    name: str, source: str, source_parts: dict[str, list[str]], target: str, target_parts: dict[str, list[str]]
) -> None:
    (fold,) = protocol(name).folds(Disk())
    assert fold.name == "P2+P3"
    assert fold.train_ids == keys(source, source_parts["P2"], source_parts["P3"])
    assert fold.test_ids == keys(target, target_parts["P1"])


@pytest.mark.parametrize("name", ["bp4d", "disfa"])
def test_the_parts_are_those_of_the_published_counts(name: str) -> None:
    parts = read_parts(str(FOLDER / "any.py"), f"{name}_3fold.csv")
    assert {subject for members in parts.values() for subject in members} == set(read_counts(name))


@pytest.mark.parametrize(("part", "au1", "au12"), [("P1", 8322, 28277), ("P2", 10223, 26187), ("P3", 12497, 28066)])
def test_positives_of_each_bp4d_part_are_the_published_ones(part: str, au1: int, au12: int) -> None:
    counts = read_counts("bp4d")
    assert sum(counts[subject][1][1] for subject in BP4D[part]) == au1
    assert sum(counts[subject][1][12] for subject in BP4D[part]) == au12


@pytest.mark.parametrize("name", ["bp4d-3fold", "bp4d-to-disfa", "bp4d-to-disfa-fgnet", "disfa-to-bp4d"])
def test_a_subject_of_no_part_is_refused(name: str) -> None:
    with pytest.raises(DataError, match="bp4d: subject F099 is in no part of the split"):
        protocol(name).folds(Disk(bp4d=[*ON_DISK["bp4d"], "F099"]))


def test_a_side_without_subjects_on_disk_is_refused() -> None:
    with pytest.raises(DataError, match="disfa: no subject of the split is on disk; expected some of SN001"):
        protocol("bp4d-to-disfa-fgnet").folds(Disk(disfa=DISFA["P2"]))
    with pytest.raises(DataError, match="fold P1 has no test subject on disk"):
        protocol("bp4d-3fold").folds(Disk(bp4d=BP4D["P2"] + BP4D["P3"]))


def test_only_subjects_on_disk_are_in_a_fold() -> None:
    some = ["F001", "F003", "F004"]
    first, *_ = protocol("bp4d-3fold").folds(Disk(bp4d=some))
    assert first.test_ids == keys("bp4d", ["F001"]) and first.train_ids == keys("bp4d", ["F003", "F004"])
