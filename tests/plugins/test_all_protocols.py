"""The contract holds for every protocol that is installed; no plugin has a line of its own here."""

import pytest

from auharness import registry
from auharness.testing import check_protocol


@pytest.mark.parametrize("name", registry.names("protocol"))
def test_protocol_keeps_the_contract(name: str) -> None:
    checks = check_protocol(registry.load("protocol", name))
    assert [f"{check.name}: {check.message}" for check in checks if not check.passed] == []


@pytest.mark.parametrize("name", registry.names("protocol"))
def test_protocol_reads_datasets_that_exist(name: str) -> None:
    protocol = registry.load("protocol", name)
    assert {*protocol.train_on, *protocol.test_on} <= set(registry.names("dataset"))
