import ast
import inspect
from importlib.metadata import version

import pytest

import auharness
from auharness import hookspecs


@pytest.mark.parametrize("name", auharness.__all__)
def test_every_public_name_can_be_imported_and_is_listed(name):
    assert getattr(auharness, name) is not None
    assert name in dir(auharness)


def test_public_names_equal_those_that_type_checkers_see():
    tree = ast.parse(inspect.getsource(auharness))
    block = next(node for node in tree.body if isinstance(node, ast.If))
    imported = {alias.name for node in block.body if isinstance(node, ast.ImportFrom) for alias in node.names}
    assert imported | {"__version__"} == set(auharness.__all__)


def test_an_unknown_name_is_an_attribute_error():
    with pytest.raises(AttributeError, match="has no attribute 'nothing'"):
        auharness.nothing  # noqa: B018  # the access is the test


def test_the_version_is_that_of_the_distribution():
    assert auharness.__version__ == version("auharness")


SPECS = [hookspecs.ModelSpecs, hookspecs.DatasetSpecs, hookspecs.ProtocolSpecs, hookspecs.ObserverSpecs]
HOOKS = [hook for specs in SPECS for name, hook in vars(specs).items() if name.startswith("auharness_")]


@pytest.mark.parametrize("hook", HOOKS, ids=lambda hook: hook.__name__)
def test_every_hook_says_when_and_by_whom_it_is_called(hook):
    assert "Called by" in (hook.__doc__ or "")
