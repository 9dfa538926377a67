import hashlib
import sys

import pytest

from auharness import registry
from auharness.errors import PluginError, UsageError

DATASET = """
from auharness import DatasetPlugin, hookimpl

class Acme(DatasetPlugin):
    name = "acme"

    def records(self):
        yield from ()

@hookimpl
def auharness_dataset():
    return Acme
"""


@pytest.fixture(autouse=True)
def _forget_modules():
    before = set(sys.modules)
    yield
    for name in set(sys.modules) - before:
        if name.startswith("acme"):
            del sys.modules[name]


def digest_of(path):
    return registry.plugin_digest(registry.load_file(path)[1])


def test_digest_is_the_sha256_of_name_size_and_bytes(tmp_path):
    (tmp_path / "acme.py").write_text(DATASET)
    body = DATASET.encode()
    assert digest_of(tmp_path / "acme.py") == hashlib.sha256(b"acme.py\0%d\0" % len(body) + body).hexdigest()


def test_digest_changes_with_the_split_table_but_not_with_the_reported_table(tmp_path):
    (tmp_path / "acme.py").write_text(DATASET)
    before = digest_of(tmp_path / "acme.py")
    (tmp_path / "acme.json").write_text("{}")
    assert digest_of(tmp_path / "acme.py") == before
    (tmp_path / "acme.csv").write_text("part,subject\n")
    assert digest_of(tmp_path / "acme.py") != before


def test_digest_of_a_package_covers_every_module_of_it(tmp_path):
    folder = tmp_path / "acme_set"
    (folder / "inner").mkdir(parents=True)
    (folder / "__init__.py").write_text(DATASET)
    (folder / "inner" / "layers.py").write_text("width = 1\n")
    before = digest_of(folder)
    (folder / "inner" / "layers.py").write_text("width = 2\n")
    assert digest_of(folder) != before


def test_digest_without_import_equals_the_one_of_the_class():
    for kind, name in (("dataset", "bp4d"), ("protocol", "bp4d-3fold")):
        assert registry.source_digest(kind, name) == registry.plugin_digest(registry.load(kind, name))


def test_a_class_without_a_file_has_no_digest():
    with pytest.raises(PluginError, match="is no file"):
        registry.plugin_digest(type("Made", (), {"__module__": "made_up"}))


def test_shipped_source_is_the_file_of_the_name():
    assert registry.source_file("model", "au-ttt").name == "au_ttt.py"


@pytest.mark.parametrize(
    ("name", "hint"),
    [("au-tt", "did you mean 'au-ttt'"), ("bp4d", "'bp4d' is a dataset"), ("zzz", "no model 'zzz' ")],
)
def test_an_unknown_name_gets_a_near_miss_or_its_kind(name, hint):
    with pytest.raises(UsageError, match=hint):
        registry.require("model", name)


def test_hidden_files_are_no_plugins():
    assert not [name for kind in registry.KINDS for name in registry.names(kind) if name.startswith(("-", "_"))]


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("x = 1\n", "expected exactly one of the hooks .* found none"),
        (DATASET + "\n@hookimpl\ndef auharness_model():\n    ...\n", "found auharness_model, auharness_dataset"),
        ("import json\n\n1 / 0\n", r"ZeroDivisionError: division by zero \(acme.py:3\)"),
    ],
)
def test_a_file_that_is_no_plugin_says_why(tmp_path, source, message):
    (tmp_path / "acme.py").write_text(source)
    with pytest.raises(PluginError, match=message):
        registry.load_file(tmp_path / "acme.py")


@pytest.mark.parametrize("name", ["gone.py", "table.csv", "folder"])
def test_a_path_without_a_plugin_file_is_a_usage_error(tmp_path, name):
    (tmp_path / "table.csv").write_text("a,b\n")
    (tmp_path / "folder").mkdir()
    with pytest.raises(UsageError, match="no such plugin file"):
        registry.load_file(tmp_path / name)
