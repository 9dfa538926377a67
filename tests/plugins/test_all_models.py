"""The contract holds for every model that is installed; no plugin has a line of its own here."""

import pytest

from auharness import registry
from auharness.testing import check_model


@pytest.mark.parametrize("name", registry.names("model"))
def test_model_keeps_the_contract(name: str) -> None:
    failed = [
        f"{check.name}: {check.message}" for check in check_model(registry.load("model", name)) if not check.passed
    ]
    assert failed == []
