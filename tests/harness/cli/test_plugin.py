import json
import subprocess
import sys

import pytest

from auharness.cli import main

KINDS = ("model", "dataset", "protocol")


@pytest.fixture(autouse=True)
def _in_a_fresh_folder(tmp_path, monkeypatch):
    before = set(sys.modules)
    monkeypatch.chdir(tmp_path)
    yield
    for name in set(sys.modules) - before:
        if name.startswith("my_"):
            del sys.modules[name]


@pytest.mark.parametrize("kind", KINDS)
def test_a_new_plugin_passes_the_check_and_is_short(tmp_path, capsys, kind):
    assert main(["plugin", "new", kind, f"my-{kind}"]) == 0
    path = tmp_path / f"my_{kind}.py"
    assert len(path.read_text().splitlines()) < 40
    assert main(["plugin", "check", str(path), "--json"]) == 0
    printed = capsys.readouterr().out
    checks = json.loads(printed[printed.index("{") :])["checks"]
    assert checks and all(check["passed"] for check in checks)


def test_a_new_plugin_is_formatted_and_lint_free(tmp_path):
    for kind in KINDS:
        assert main(["plugin", "new", kind, f"my-{kind}", "--quiet"]) == 0
    ruff = [sys.executable, "-m", "ruff"]
    select = ["--isolated", "--line-length=120", "--select=E,F,I,UP,B,SIM,PTH,RUF,TID,T20"]
    known = ["--config", "lint.isort.known-first-party=['auharness']"]
    subprocess.run([*ruff, "check", *select, *known, str(tmp_path)], check=True, capture_output=True)
    subprocess.run([*ruff, "format", "--check", "--isolated", "--line-length=120", str(tmp_path)], check=True)


def test_a_new_dataset_reads_the_layout_it_names(tmp_path, capsys):
    assert main(["plugin", "new", "dataset", "my-set"]) == 0
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "a.jpg").write_bytes(b"x")
    rows = "subject,frame,image,AU1,AU2,AU4,AU6,AU12\nS1,1,a.jpg,1,0,0,-1,1\n"
    (tmp_path / "data" / "labels.csv").write_text(rows)
    assert main(["plugin", "check", "my_set.py", "--root", "data"]) == 0
    assert "ok      every medium exists below the root" in capsys.readouterr().out
    (tmp_path / "data" / "a.jpg").unlink()
    assert main(["plugin", "check", "my_set.py", "--root", "data"]) == 2
    assert "a.jpg does not exist" in capsys.readouterr().out


def test_a_package_has_an_entry_point_for_the_plugin(tmp_path):
    import tomllib

    assert main(["plugin", "new", "model", "my-net", "--package", "acme"]) == 0
    project = tomllib.loads((tmp_path / "acme" / "pyproject.toml").read_text())["project"]
    assert project["entry-points"] == {"auharness.models": {"my-net": "auharness_my_net"}}
    assert (tmp_path / "acme" / "auharness_my_net.py").is_file()


def test_a_new_plugin_never_overwrites(capsys):
    assert main(["plugin", "new", "model", "my-net"]) == 0
    assert main(["plugin", "new", "model", "my-net"]) == 2
    assert "my_net.py exists" in capsys.readouterr().err


@pytest.mark.parametrize("name", ["My-Net", "my_net", "../net", "", "-net"])
def test_a_wrong_name_writes_nothing(tmp_path, name):
    assert main(["plugin", "new", "model", "--", name]) == 2
    assert list(tmp_path.iterdir()) == []


def test_a_failed_check_says_which_and_exits_2(tmp_path, capsys):
    assert main(["plugin", "new", "model", "my-net"]) == 0
    source = (tmp_path / "my_net.py").read_text()
    (tmp_path / "my_net.py").write_text(source.replace("task.num_outputs", "task.num_outputs + 1"))
    capsys.readouterr()
    assert main(["plugin", "check", "my_net.py", "--quiet"]) == 2
    printed = capsys.readouterr()
    assert printed.out == "failed  logits are [B,A], finite\n        expected shape [3, 5], got [3, 6]\n"
    assert printed.err == "auharness: error: model 'my-net': 1 of 8 checks failed\n"


@pytest.mark.parametrize(
    ("argv", "hint"),
    [
        (["pixel-probee"], "did you mean 'pixel-probe'"),
        (["gone.py"], "gone.py: no such plugin file"),
        (["bp4d-3fold", "--root", "."], "--root is for datasets; 'bp4d-3fold' is a protocol"),
        (["bp4d", "--root", "gone"], "--root gone: no such folder"),
    ],
)
def test_a_wrong_request_is_one_line(capsys, argv, hint):
    assert main(["plugin", "check", *argv]) == 2
    assert hint in capsys.readouterr().err


def test_an_installed_plugin_is_checked_by_name(capsys):
    assert main(["plugin", "check", "pixel-probe"]) == 0
    assert "model 'pixel-probe' passes 18 checks" in capsys.readouterr().err
