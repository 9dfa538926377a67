import importlib
import sys

import pytest

pytest.importorskip("numba")

from auharness.ops import numba_vectors

CALLER = """
from auharness.ops.numba_vectors import compiled
from numba_called import twice
answer = compiled(lambda x: twice(x))
"""
CALLED = """
from auharness.ops.numba_vectors import compiled
@compiled
def twice(x):
    return {} * x
"""


def test_compiled_code_is_renewed_when_a_file_that_it_calls_changes(tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(tmp_path)
    (tmp_path / "numba_caller.py").write_text(CALLER)
    for factor in (2, 30):  # of different length, which Python itself looks at
        (tmp_path / "numba_called.py").write_text(CALLED.format(factor))
        numba_vectors._edition.cache_clear()  # as in a new process
        for name in ("numba_called", "numba_caller"):
            sys.modules.pop(name, None)
            importlib.invalidate_caches()
        assert importlib.import_module("numba_caller").answer(7) == factor * 7
