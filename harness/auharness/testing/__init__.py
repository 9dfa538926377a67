"""Checks that plugin authors run: `auharness plugin check NAME`, or these functions in a test.

>>> from auharness.registry import load
>>> all(check.passed for check in check_protocol(load("protocol", "bp4d-3fold")))
True
"""

from auharness.testing.check import Check
from auharness.testing.datasets import check_dataset
from auharness.testing.fake import FakeIndex, FakeUnit, fake_batch, fake_task
from auharness.testing.models import accepted_task, check_model
from auharness.testing.protocols import check_protocol

__all__ = [
    "Check",
    "FakeIndex",
    "FakeUnit",
    "accepted_task",
    "check_dataset",
    "check_model",
    "check_protocol",
    "fake_batch",
    "fake_task",
]
