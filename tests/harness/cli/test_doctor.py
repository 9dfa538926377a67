import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from auharness import ops, registry
from auharness.cli import main
from auharness.errors import DataError, PluginError
from auharness.ops import catalogue
from auharness.ops.backends import Backend


@pytest.fixture
def report(monkeypatch, capsys, tmp_path):
    """Run the doctor with all plugins but `absent` and `broken` ones working; return exit code and findings."""
    monkeypatch.setenv("AUHARNESS_CACHE", str(tmp_path / "cache"))

    def run(**faults):
        def load(kind, name):
            if name in faults:
                raise faults[name]

        monkeypatch.setattr(registry, "load", load)
        code = main(["doctor", "--json"])
        return code, {row["what"]: row for row in json.loads(capsys.readouterr().out)}

    return run


def test_a_sound_machine_exits_0_and_names_cache_and_plugins(report, tmp_path):
    code, found = report()
    assert code == 0
    assert found["cache"]["detail"].startswith(str(tmp_path / "cache"))
    assert re.search(r"\d GiB free", found["cache"]["detail"])
    assert "au-ttt" in found["models"]["detail"]
    assert found["torch"]["state"] == found["python"]["state"] == "ok"


def test_a_broken_plugin_exits_3_and_a_missing_extra_does_not(report):
    code, found = report(constant=DataError('needs timm; install it: pip install "auharness[vision]"'))
    assert (code, found["model constant"]["state"]) == (0, "absent")
    code, found = report(constant=PluginError("the import failed"))
    assert (code, found["model constant"]["state"]) == (3, "broken")
    assert "constant" not in found["models"]["detail"]


def test_every_extra_is_there_or_has_its_command(report):
    _, found = report()
    extras = {what.removeprefix("extra "): row for what, row in found.items() if what.startswith("extra ")}
    assert set(extras) == set(registry.EXTRAS.values()) - {"mamba"}
    for name, row in extras.items():
        assert row["state"] == "ok" or f'pip install "auharness[{name}]"' in row["detail"]
    assert {"mediapipe", "mamba_ssm"} <= set(found)


def test_a_package_that_is_there_and_does_not_import_is_broken(report, tmp_path, monkeypatch):
    (tmp_path / "numba").mkdir()
    (tmp_path / "numba" / "__init__.py").write_text("raise ImportError('Numba needs an older NumPy')")
    monkeypatch.syspath_prepend(tmp_path)
    for name in [name for name in sys.modules if name.split(".")[0] == "numba"]:
        monkeypatch.delitem(sys.modules, name)
    # the operators would remember for the tests that follow
    monkeypatch.setattr(catalogue, "OPERATORS", {})
    code, found = report()
    assert (code, found["extra cpu"]["state"]) == (3, "broken")
    assert found["extra cpu"]["detail"] == "numba does not import: Numba needs an older NumPy"


@pytest.mark.parametrize(
    ("scan", "ssd", "state", "detail"),
    [
        (None, None, "ok", "installed"),
        ("no compiled scan", None, "ok", "SSD only: no compiled scan"),
        (None, "no Triton", "ok", "selective scan only: no Triton"),
        ("no CUDA device", "no CUDA device", "absent", "installed but of no use here: no CUDA device"),
    ],
)
def test_of_mamba_ssm_it_says_which_part_works(report, tmp_path, monkeypatch, scan, ssd, state, detail):
    (tmp_path / "mamba_ssm").mkdir()
    (tmp_path / "mamba_ssm" / "__init__.py").touch()
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr("auharness.ops.selective_scan.mamba_ssm.mamba_ssm_missing", lambda: scan)
    monkeypatch.setattr("auharness.ops.ssd.mamba_ssm.mamba_ssm_missing", lambda: ssd)
    _, found = report()
    assert (found["mamba_ssm"]["state"], found["mamba_ssm"]["detail"]) == (state, detail)


@pytest.mark.parametrize("shell", ["bash", "zsh"])
def test_completion_prints_a_script_that_knows_the_commands(capsys, shell):
    assert main(["completion", shell]) == 0
    script = capsys.readouterr().out
    assert "doctor" in script and "--no-color" in script
    if shell == "bash" and shutil.which("bash"):
        subprocess.run(["bash", "-n"], input=script, text=True, check=True)


def test_every_operator_lists_its_backends_and_why_others_are_absent(report, monkeypatch):
    absent = Backend("nowhere:run", missing=lambda: "no CUDA device")
    monkeypatch.setattr(
        catalogue, "OPERATORS", {"ttt_linear": {"triton": absent, "torch": Backend(abs), "reference": Backend(abs)}}
    )
    _, found = report()
    assert found["op ttt_linear"]["state"] == "ok"
    assert found["op ttt_linear"]["detail"] == "torch, reference; triton absent: no CUDA device"


def test_the_catalogue_names_every_operator_package():
    package = Path(ops.__file__).parent
    folders = {path.parent.name for path in package.glob("*/reference.py")}
    assert set(catalogue.OPERATORS) == folders
    assert all("reference" in backends for backends in catalogue.OPERATORS.values())
