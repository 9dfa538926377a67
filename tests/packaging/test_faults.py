"""Each way in which a stranger's plugin can be broken gives one line with its cause, and the others keep working."""

import pytest

from auharness import registry
from auharness.errors import AuharnessError, DataError, PluginError

HEAD = "from auharness import DatasetPlugin, ModelPlugin, hookimpl\n"
NET = HEAD + "class Net(ModelPlugin):\n    name = 'bad'\n    def build(self, task): ...\n"

FAULTS = {
    "import": ("import json\n1 / 0\n", r"import failed with ZeroDivisionError: division by zero \(acme_bad.py:2\)"),
    "syntax": ("x = 1\ndef f(:\n", r"import failed with SyntaxError: .*\(acme_bad.py:2\)"),
    "exit": ("raise SystemExit('bye')\n", "import failed with SystemExit: bye"),
    "unknown module": ("import no_such_module\n", "ModuleNotFoundError: No module named 'no_such_module'"),
    "no hook": (NET, r"hook auharness_model is missing; expected '@hookimpl def auharness_model\(\)'"),
    "unmarked hook": (NET + "def auharness_model():\n    return Net\n", "auharness_model is not marked with @hookimpl"),
    "misspelled hook": (
        NET + "@hookimpl\ndef auharness_modle():\n    return Net\n",
        "no hook 'auharness_modle'; did you mean 'auharness_model'?",
    ),
    "hook of another kind": (
        NET + "@hookimpl\ndef auharness_dataset():\n    return Net\n",
        "'auharness_dataset' belongs to the entry-point group auharness.datasets",
    ),
    "unknown argument": (NET + "@hookimpl\ndef auharness_model(config):\n    return Net\n", "config"),
    "raising hook": (NET + "@hookimpl\ndef auharness_model():\n    raise KeyError('x')\n", "raised KeyError: 'x'"),
    "no class": (NET + "@hookimpl\ndef auharness_model():\n    return Net()\n", "expected a subclass of ModelPlugin"),
    "wrong class": (
        HEAD + "class D(DatasetPlugin):\n    name = 'bad'\n@hookimpl\ndef auharness_model():\n    return D\n",
        "expected a subclass of ModelPlugin",
    ),
    "no build": (
        HEAD + "class Net(ModelPlugin):\n    name = 'bad'\n@hookimpl\ndef auharness_model():\n    return Net\n",
        "class Net lacks the method build",
    ),
    "no name": (
        NET.replace("    name = 'bad'\n", "") + "@hookimpl\ndef auharness_model():\n    return Net\n",
        "class Net lacks a name; expected name = 'bad'",
    ),
    "wrong name": (
        NET.replace("'bad'", "'good'") + "@hookimpl\ndef auharness_model():\n    return Net\n",
        "has the name 'good', expected the entry-point name",
    ),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_a_fault_is_one_line_that_names_package_module_and_cause(install, fault):
    source, cause = FAULTS[fault]
    install("acme-nets", {"acme_bad": source}, models={"bad": "acme_bad"})
    with pytest.raises(PluginError, match=cause) as caught:
        registry.load("model", "bad")
    assert "\n" not in str(caught.value)
    assert "(package acme-nets, module acme_bad)" in str(caught.value)


def test_a_missing_extra_names_the_command_that_installs_it(install, monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "timm", None)
    install("acme-nets", {"acme_bad": "import timm.layers\n"}, models={"bad": "acme_bad"})
    with pytest.raises(DataError, match=r'needs the package timm; install it: pip install "auharness\[vision\]"'):
        registry.load("model", "bad")


def test_an_entry_point_without_a_module_says_so(install):
    install("acme-nets", {}, models={"bad": "acme_gone"})
    for ask in (registry.load, registry.source_file):
        with pytest.raises(PluginError, match="there is no such module; reinstall the package acme-nets"):
            ask("model", "bad")


def test_others_keep_working_beside_every_fault(install, model_source):
    for number, (source, _) in enumerate(FAULTS.values()):
        install(f"acme-{number}", {f"acme_bad{number}": source}, models={f"bad{number}": f"acme_bad{number}"})
    install("good-nets", {"good_net": model_source("good-net")}, models={"good-net": "good_net"})
    for number in range(len(FAULTS)):
        with pytest.raises(AuharnessError):
            registry.load("model", f"bad{number}")
    assert registry.load("model", "good-net").name == "good-net"


def test_a_failed_import_can_be_tried_again(install, model_source):
    site = install("acme-nets", {"acme_bad": "1 / 0"}, models={"bad": "acme_bad"})
    with pytest.raises(PluginError):
        registry.load("model", "bad")
    (site / "acme_bad.py").write_text("#" * 100 + model_source("bad"))  # another size, so no stale byte code
    assert registry.load("model", "bad").name == "bad"


def test_what_a_module_prints_when_it_is_imported_is_not_the_answer(install, model_source, capsys):
    install("acme-nets", {"acme_net": "print('hello')\n" + model_source("acme-net")}, models={"acme-net": "acme_net"})
    assert registry.load("model", "acme-net").name == "acme-net"
    assert capsys.readouterr() == ("", "hello\n")


def test_a_slow_import_does_not_slow_the_list_of_names(install):
    install("acme-nets", {"acme_net": "import time\ntime.sleep(600)\n"}, models={"acme-net": "acme_net"})
    assert "acme-net" in registry.names("model")
