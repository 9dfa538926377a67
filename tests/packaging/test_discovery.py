import sys

import pytest

from auharness import registry
from auharness.errors import PluginError, UsageError


def test_installed_plugins_are_listed_without_import(install, model_source):
    install("acme-nets", {"acme_net": "raise RuntimeError('imported')"}, models={"acme-net": "acme_net"})
    assert "acme-net" in registry.names("model")
    assert "acme_net" not in sys.modules


def test_an_installed_plugin_loads_by_its_entry_point_name(install, model_source):
    site = install("acme-nets", {"acme_net": model_source("acme-net")}, models={"acme-net": "acme_net"})
    plugin = registry.load("model", "acme-net")
    assert plugin.name == "acme-net"
    assert registry.source_file("model", "acme-net") == site / "acme_net.py"
    assert registry.plugin_digest(plugin) == registry.source_digest("model", "acme-net")


def test_source_file_of_a_dotted_module_imports_no_parent(install):
    site = install("acme-nets", {}, models={"acme-net": "acme_pkg.nets.one"})
    (site / "acme_pkg" / "nets").mkdir(parents=True)
    for init in ("acme_pkg/__init__.py", "acme_pkg/nets/__init__.py"):
        (site / init).write_text("raise RuntimeError('imported')")
    (site / "acme_pkg" / "nets" / "one.py").write_text("")
    assert registry.source_file("model", "acme-net") == site / "acme_pkg" / "nets" / "one.py"


def test_a_clash_names_both_packages_and_only_when_the_name_is_asked_for(install, model_source):
    install("acme-nets", {"acme_net": model_source("same")}, models={"same": "acme_net"})
    install("other-nets", {"other_net": model_source("same")}, models={"same": "other_net", "free": "other_net"})
    assert registry.names("model").count("same") == 1
    registry.require("model", "free")
    with pytest.raises(PluginError, match="acme-nets and other-nets; uninstall one or set AUHARNESS_BLOCK=other-nets"):
        registry.load("model", "same")


def test_a_clash_with_a_shipped_plugin_is_one_too(install, model_source):
    install("acme-nets", {"acme_net": model_source("au-ttt")}, models={"au-ttt": "acme_net"})
    with pytest.raises(PluginError, match="packages auharness and acme-nets"):
        registry.require("model", "au-ttt")


def test_a_dataset_and_a_model_may_share_a_name(install, model_source):
    install("acme", {"acme_net": model_source("bp4d")}, models={"bp4d": "acme_net"})
    assert registry.load("model", "bp4d").__name__ == "Net"
    assert registry.load("dataset", "bp4d").__name__ == "BP4D"


@pytest.mark.parametrize("entry", ["same", "Other.Nets", " other_nets , x"])
def test_block_leaves_out_plugins_and_packages(install, model_source, monkeypatch, entry):
    install("acme-nets", {"acme_net": model_source("kept")}, models={"kept": "acme_net"})
    install("other-nets", {"other_net": model_source("same")}, models={"same": "other_net"})
    monkeypatch.setenv("AUHARNESS_BLOCK", entry)
    assert "same" not in registry.names("model")
    assert "kept" in registry.names("model")


def test_a_blocked_name_says_so(install, model_source, monkeypatch):
    install("acme-nets", {"acme_net": model_source("acme-net")}, models={"acme-net": "acme_net"})
    monkeypatch.setenv("AUHARNESS_BLOCK", "acme-net")
    with pytest.raises(UsageError, match="left out by AUHARNESS_BLOCK"):
        registry.require("model", "acme-net")


def test_a_blocked_package_resolves_a_clash(install, model_source, monkeypatch):
    install("acme-nets", {"acme_net": model_source("same")}, models={"same": "acme_net"})
    install("other-nets", {"other_net": model_source("same")}, models={"same": "other_net"})
    monkeypatch.setenv("AUHARNESS_BLOCK", "other-nets")
    assert registry.require("model", "same").package == "acme-nets"


def test_trace_prints_the_hook_call(install, model_source, monkeypatch, capsys):
    install("acme-nets", {"acme_net": model_source("acme-net")}, models={"acme-net": "acme_net"})
    registry.load("model", "acme-net")
    assert capsys.readouterr().err == ""
    monkeypatch.setenv("AUHARNESS_TRACE", "1")
    registry.load("model", "acme-net")
    assert "auharness_model" in capsys.readouterr().err
