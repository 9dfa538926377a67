"""The contract holds for every dataset that is installed, on two subjects of its stand-in where it has one."""

from pathlib import Path

import pytest

from auharness import registry
from auharness.data.synthetic.layouts import LAYOUTS, load_layout
from auharness.data.synthetic.standin import MARK
from auharness.testing import check_dataset


def stand_in(name: str, root: Path) -> Path | None:
    if name not in LAYOUTS:
        return None
    layout = load_layout(name)
    subjects = layout.subjects(size="tiny")[:2]
    for subject in subjects:
        layout.write_subject(root, subject, size="tiny", seed=0)
    layout.write_shared(root, subjects, size="tiny", seed=0)
    # readers that know the published versions of a sheet refuse any other, except in a stand-in
    (root / MARK).write_text("{}")
    return root


@pytest.mark.parametrize("name", registry.names("dataset"))
def test_dataset_keeps_the_contract(name: str, tmp_path: Path) -> None:
    checks = check_dataset(registry.load("dataset", name), stand_in(name, tmp_path))
    assert [f"{check.name}: {check.message}" for check in checks if not check.passed] == []


def test_every_stand_in_belongs_to_a_dataset_plugin() -> None:
    assert set(LAYOUTS) <= set(registry.names("dataset"))
