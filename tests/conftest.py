"""What every test stands on: fixed seeds, one thread, no network, a cache of its own, and small data to read."""

import os
import random
import socket
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np
import pytest
import torch

import auharness

if TYPE_CHECKING:
    from auharness.runner import RunResult

MINI = {
    "bp4d": ("F001", "F002", "F003", "F005", "F004", "F006"),
    "disfa": ("SN001", "SN002", "SN006", "SN011", "SN003", "SN004"),
}
"""Two subjects of each published part."""


def pytest_addoption(parser: pytest.Parser) -> None:
    """Let `make nightly` make the fault suite larger."""
    parser.addoption(
        "--fault-factor", type=int, default=1, metavar="N", help="run N times as many cases of tests/faults"
    )


@pytest.fixture(scope="session", autouse=True)
def workplace(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """One thread, no network, nothing of the user's settings; stand-ins and crops are shared by parallel workers."""
    base = tmp_path_factory.getbasetemp()
    shared = base.parent if "PYTEST_XDIST_WORKER" in os.environ else base
    with pytest.MonkeyPatch.context() as patch:
        for name in [name for name in os.environ if name.startswith("AUHARNESS_")]:
            patch.delenv(name)
        patch.setenv("AUHARNESS_CACHE", str(shared / "auharness-cache"))
        for name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
            patch.setenv(name, "1")
        patch.setenv("CUBLAS_WORKSPACE_CONFIG", ":4096:8")  # asked for by the next call where there is a GPU
        # among other things this fills torch.empty with NaN, so that reading memory before writing it is seen
        torch.use_deterministic_algorithms(True)
        torch.set_num_threads(1)
        cv2.setNumThreads(1)
        patch.setattr(socket.socket, "connect", _connect_here)
        yield


@pytest.fixture(autouse=True)
def fixed_chance() -> None:
    """Every test starts from the same random numbers."""
    random.seed(0)
    np.random.seed(0)
    torch.manual_seed(0)


@pytest.fixture(scope="session")
def bp4d_tiny() -> Path:
    """The BP4D stand-in of size tiny, where a run without a data root looks for it."""
    from auharness.data.synthetic.standin import ensure_standin

    return ensure_standin("bp4d", size="tiny", jobs=1)


@pytest.fixture(scope="session")
def disfa_tiny() -> Path:
    """The DISFA stand-in of size tiny, where a run without a data root looks for it."""
    from auharness.data.synthetic.standin import ensure_standin

    return ensure_standin("disfa", size="tiny", jobs=1)


@pytest.fixture(scope="session")
def casme2_tiny() -> Path:
    """The CASME II stand-in of size tiny, 6 subjects and 12 clips, where a run without a data root looks for it."""
    from auharness.data.synthetic.standin import ensure_standin

    return ensure_standin("casme2", size="tiny", jobs=1)


@pytest.fixture(scope="session")
def samm_tiny() -> Path:
    """The SAMM stand-in of size tiny, 6 subjects and 12 clips, where a run without a data root looks for it."""
    from auharness.data.synthetic.standin import ensure_standin

    return ensure_standin("samm", size="tiny", jobs=1)


@pytest.fixture(scope="session")
def dfew_tiny() -> Path:
    """The DFEW stand-in of size tiny, 40 clips of 11 to 40 frames, where a run without a data root looks for it."""
    from auharness.data.synthetic.standin import ensure_standin

    return ensure_standin("dfew", size="tiny", jobs=1)


@pytest.fixture(scope="session")
def affwild2_tiny() -> Path:
    """The Aff-Wild2 stand-in of size tiny, 4 training, 2 validation and 1 test video of 40 to 65 rows, with sound."""
    from auharness.data.synthetic.standin import ensure_standin

    return ensure_standin("affwild2", size="tiny", jobs=1)


@pytest.fixture(scope="session")
def bp4d_mini(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Six subjects of the BP4D stand-in, two of each part, one task of six frames: 36 rows. Not to be changed."""
    return _write_mini(tmp_path_factory, "bp4d", frames=6, tasks=("T7",))


@pytest.fixture(scope="session")
def disfa_mini(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Six subjects of the DISFA stand-in, two of each part, four frames: 24 rows. Not to be changed."""
    return _write_mini(tmp_path_factory, "disfa", frames=4)


@pytest.fixture
def run_mini(bp4d_mini: Path, tmp_path: Path) -> "Callable[..., RunResult]":
    """Run a small model on `bp4d_mini` in this process, a fraction of a second per fold; options replace the defaults.

    The run goes to `tmp_path / "runs"`.
    """

    def run(**options: Any) -> "RunResult":
        given: dict[str, Any] = {
            "model": "small-cnn",
            "protocol": "bp4d-3fold",
            "presets": "tiny",
            "settings": {"widths": [8], "recipe": {"epochs": 2, "batch_size": 16}},
            "data_roots": {"bp4d": str(bp4d_mini)},
            "runs": tmp_path / "runs",
            "device": "cpu",
            "jobs": 1,
        }
        return auharness.run(**(given | options))

    return run


@dataclass(frozen=True)
class Answer:
    """What a command did."""

    code: int
    out: str
    err: str


@pytest.fixture
def command(capsys: pytest.CaptureFixture[str]) -> Callable[..., Answer]:
    """Run one command line of the harness in this process."""
    from auharness.cli import main

    def run(*words: object) -> Answer:
        capsys.readouterr()
        code = main([str(word) for word in words])
        captured = capsys.readouterr()
        return Answer(code, captured.out, captured.err)

    return run


def _write_mini(factory: pytest.TempPathFactory, dataset: str, **size: Any) -> Path:
    from auharness.data.synthetic.layouts import load_layout
    from auharness.data.synthetic.sizes import Size

    layout = load_layout(dataset)
    root = factory.mktemp("mini") / dataset
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(layout, "SIZES", {**layout.sizes(), "mini": Size(pixels=96, **size)})
        for subject in MINI[dataset]:
            layout.write_subject(root, subject, size="mini", seed=0)
    (root / "SYNTHETIC.json").write_text('{"size": "mini"}')
    return root


_connect = socket.socket.connect


def _connect_here(self: socket.socket, address: Any) -> None:
    if self.family != socket.AF_UNIX:  # processes of one machine talk over these
        raise RuntimeError(f"a test wants the network: {address}")
    _connect(self, address)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Print what the simulations measured, also when they pass."""
    reports = [report for kind in ("passed", "failed") for report in terminalreporter.getreports(kind)]
    measured = [value for report in reports for name, value in report.user_properties if name == "measured"]
    if measured:
        terminalreporter.section("measured by simulation")
        for line in measured:
            terminalreporter.write_line(str(line))
