"""Whose edits make numbers out of date: the plugin's, and those of the layers, operators and counters below it."""

import shutil
from pathlib import Path

import pytest

from auharness import ops
from auharness.errors import UsageError
from auharness.scaling import code
from auharness.scaling.code import code_digests


def test_an_edit_of_a_plugin_changes_its_digest_and_no_other(edited_plugin):
    before = code_digests(["small-cnn", "vit-s16", ""])
    edited_plugin("small-cnn")
    after = code_digests(["small-cnn", "vit-s16", ""])
    assert {name for name in before if before[name] != after[name]} == {"small-cnn"}
    assert len(set(after.values())) == 3


def test_an_edit_of_an_operator_changes_all(monkeypatch, tmp_path):
    package = tmp_path / "acme_ops"
    shutil.copytree(Path(ops.__file__).parent, package, ignore=shutil.ignore_patterns("__pycache__"))
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(code, "SHARED", ("acme_ops",))
    before = code_digests(["small-cnn", ""])
    kernel = package / "ttt_linear" / "reference.py"
    kernel.write_text(kernel.read_text() + "# edited\n")
    assert not set(before.values()) & set(code_digests(["small-cnn", ""]).values())


def test_the_layers_that_networks_are_made_of_are_in_it():
    assert {"auharness.nn", "auharness.ops"} <= set(code.SHARED)


def test_an_unknown_model_has_none():
    with pytest.raises(UsageError, match="no model 'au-tt'; did you mean 'au-ttt'"):
        code_digests(["au-tt"])
