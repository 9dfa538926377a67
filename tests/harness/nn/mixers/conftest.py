from importlib import import_module
from importlib.util import find_spec

import pytest

from auharness.nn.vision import import_torchvision


@pytest.fixture
def from_transformers():
    """Import a name from a model of transformers: `from_transformers("mamba", "MambaMixer")`."""
    pytest.importorskip("transformers")
    if find_spec("torchvision") is not None:
        import_torchvision()

    def load(model: str, name: str):
        kind = "configuration" if name.endswith("Config") else "modeling"
        return getattr(import_module(f"transformers.models.{model}.{kind}_{model}"), name)

    return load
