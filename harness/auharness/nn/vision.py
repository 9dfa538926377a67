"""The one way into torchvision, and so into timm, transformers' models and peft, which import it.

Registry wheels of torchvision are linked against CUDA; beside a CPU-only torch their extension does not load, and the
import fails because two operators were never defined. A definition without an implementation is enough for models and
transforms; `ops.nms` and image decoding stay out of reach there.
"""

import sys
from importlib import import_module
from types import ModuleType
from typing import Any

from torch import library

from auharness.errors import DataError

__all__ = ["check_start", "import_torchvision"]

_OPERATORS = ("nms", "qnms")
# definitions live as long as the library object
_libraries: list[library.Library] = []


def import_torchvision() -> ModuleType:
    """Import torchvision, with missing operators defined where its extension cannot load.

    Call it before anything imports timm, a transformers model or peft.

    Raises:
        DataError: if torchvision is not installed.
    """
    try:
        return import_module("torchvision")
    except ModuleNotFoundError as error:
        if error.name != "torchvision":
            raise
        raise DataError("torchvision is not installed; run: pip install 'auharness[vision]'") from None
    except RuntimeError as error:
        if "torchvision::" not in str(error):
            raise
    for name in [name for name in sys.modules if name.partition(".")[0] == "torchvision"]:
        del sys.modules[name]
    if not _libraries:
        made: Any = library.Library("torchvision", "FRAGMENT")  # type: ignore[no-untyped-call]  # untyped upstream
        for operator in _OPERATORS:
            made.define(f"{operator}(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
        _libraries.append(made)
    return import_module("torchvision")


def check_start(model: str, *, init: str, weights: bool) -> None:
    """Refuse a run of a model of torchvision's blocks that could not start as its setting `init` says.

    Args:
        model: name of the plugin.
        init: `none`, or `weights` for a file.
        weights: whether that file was given.

    Raises:
        DataError: if torchvision is not installed, or the file is missing.
    """
    import_torchvision()
    if init == "weights" and not weights:
        raise DataError(
            f"{model}: init=weights expects a file, got none; give it with '--weights FILE.safetensors', or train from "
            "scratch with '--set init=none'"
        )
