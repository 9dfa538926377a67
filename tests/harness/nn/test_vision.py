import importlib.util
import subprocess
import sys

import pytest

from auharness.errors import DataError
from auharness.nn import vision


def test_a_missing_torchvision_names_the_install_command(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "torchvision", None)
    with pytest.raises(DataError, match=r"pip install 'auharness\[vision\]'"):
        vision.import_torchvision()


def test_a_start_from_a_file_needs_the_file(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(vision, "import_torchvision", lambda: None)
    vision.check_start("net", init="weights", weights=True)
    vision.check_start("net", init="none", weights=False)
    with pytest.raises(DataError, match=r"net: init=weights expects a file, got none; give it with '--weights FILE"):
        vision.check_start("net", init="weights", weights=False)


@pytest.mark.skipif(importlib.util.find_spec("torchvision") is None, reason="needs the extra `vision`")
def test_a_model_runs_whichever_torch_torchvision_was_built_for() -> None:
    # a process of its own: a failed import of torchvision leaves traces in this one
    code = (
        "import torch; from auharness.nn.vision import import_torchvision; import_torchvision(); import_torchvision();"
        "from torchvision.models import resnet18; model = resnet18(num_classes=2).eval();"
        "print(model(torch.zeros(1, 3, 32, 32)).shape)"
    )
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "torch.Size([1, 2])"
