"""Every model that is installed answers the same in a compiled network, on a CPU."""

import os
import shutil

import pytest
import torch

from auharness import registry
from auharness.api import Output
from auharness.bench.case import Case, accepting


@pytest.mark.nightly
@pytest.mark.filterwarnings("ignore::UserWarning:torch.*")  # torch.compile speaks of its own limits
@pytest.mark.skipif(shutil.which(os.environ.get("CXX", "g++")) is None, reason="torch.compile needs a C++ compiler")
@pytest.mark.parametrize("name", registry.names("model"))
def test_a_compiled_network_answers_as_it_does_without(name):
    subject = Case(name, ("tiny",), next(accepting(name, ("tiny",)))).subject()
    module, inputs = subject.module("cpu"), tuple(subject.inputs("cpu").values())
    with torch.no_grad():
        found, truth = torch.compile(module, dynamic=False)(*inputs), module(*inputs)
    torch.compiler.reset()
    found, truth = (x.logits if isinstance(x, Output) else x for x in (found, truth))
    # fused sums are added in another order: 6e-7 of the largest was seen
    assert (found - truth).abs().max() <= 1e-5 * truth.abs().max()
