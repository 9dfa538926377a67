"""A package from `plugin new --package`, installed by pip into a folder, is found and passes the check."""

import os
import subprocess
import sys
from pathlib import Path

from auharness.cli import main


def test_a_new_package_installs_and_passes_the_check(tmp_path: Path) -> None:
    package, site = tmp_path / "acme", tmp_path / "site"
    assert main(["plugin", "new", "protocol", "acme-loso", "--package", str(package), "--quiet"]) == 0
    offline = ["--no-deps", "--no-build-isolation", "--no-index", "--disable-pip-version-check", "--quiet"]
    subprocess.run([sys.executable, "-m", "pip", "install", *offline, "--target", site, package], check=True)
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(site), os.environ.get("PYTHONPATH", "")])}
    program = [sys.executable, "-c", "import sys; from auharness.cli import main; sys.exit(main(sys.argv[1:]))"]

    def ask(*argv: str) -> str:
        done = subprocess.run([*program, *argv], env=environment, capture_output=True, text=True, check=True)
        return done.stdout + done.stderr

    assert "acme-loso" in ask("list", "protocols")
    assert "package auharness-acme-loso" in ask("show", "acme-loso")
    assert "protocol 'acme-loso' passes" in ask("plugin", "check", "acme-loso")
