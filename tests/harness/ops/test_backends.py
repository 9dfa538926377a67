import pytest
import torch

from auharness.errors import UsageError
from auharness.ops.backends import Backend, resolve

QUERY = torch.zeros(1)
TABLE = {
    "gpu": Backend(abs, refuses=lambda query: None if query.is_cuda else "it needs a CUDA device"),
    "plain": Backend(abs),
}


def test_the_first_backend_that_does_not_refuse_wins():
    assert resolve("op", TABLE, QUERY, None) == "plain"


def test_a_backend_that_refuses_says_why():
    with pytest.raises(UsageError, match="op backend 'gpu' cannot be used here: it needs a CUDA device"):
        resolve("op", TABLE, QUERY, "gpu")


def test_an_unknown_backend_gets_the_near_name_and_the_list():
    with pytest.raises(UsageError, match=r"no backend 'plan'; did you mean 'plain'\? \(backends: gpu, plain\)"):
        resolve("op", TABLE, QUERY, "plan")
