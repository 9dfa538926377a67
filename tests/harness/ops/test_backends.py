import math
import sys
from contextlib import contextmanager

import pytest
import torch

from auharness.errors import UsageError
from auharness.ops.backends import (
    Backend,
    choose,
    full_precision,
    full_type,
    intercepted,
    needs,
    recorded,
    resolve,
    spanned,
)

QUERY = torch.zeros(1)
TABLE = {
    "gpu": Backend(abs, refuses=lambda query, **facts: None if query.is_cuda else "it needs a CUDA device"),
    "absent": Backend("no_such_package:run", missing=lambda: "no_such_package is not installed"),
    "small": Backend(abs, refuses=lambda query, *, size=0, **facts: "size is over 8" if size > 8 else None),
    "plain": Backend("math:fabs"),
}


def test_the_first_backend_that_can_serve_wins():
    assert resolve("op", TABLE, QUERY, None) == "small"
    assert resolve("op", TABLE, QUERY, None, size=9) == "plain"


def test_a_backend_that_refuses_says_why():
    with pytest.raises(UsageError, match="op backend 'gpu' cannot be used here: it needs a CUDA device"):
        resolve("op", TABLE, QUERY, "gpu")
    with pytest.raises(UsageError, match="op backend 'small' cannot be used here: size is over 8"):
        resolve("op", TABLE, QUERY, "small", size=9)


def test_a_backend_that_is_missing_says_why():
    with pytest.raises(UsageError, match="op backend 'absent' cannot be used here: no_such_package is not installed"):
        resolve("op", TABLE, QUERY, "absent")


def test_an_unknown_backend_gets_the_near_name_and_the_list():
    message = r"no backend 'plan'; did you mean 'plain'\? \(backends: gpu, absent, small, plain\)"
    with pytest.raises(UsageError, match=message):
        resolve("op", TABLE, QUERY, "plan")


def test_an_implementation_named_by_its_module_is_imported_when_it_runs():
    assert choose("op", TABLE, QUERY, "plain").run is math.fabs


def test_backends_are_recorded_by_operator():
    with recorded() as used:
        choose("op", TABLE, QUERY, "plain")
        choose("op", TABLE, QUERY, None)
        choose("other", TABLE, QUERY, "plain")
    choose("later", TABLE, QUERY, "plain")
    assert used == {"op": "plain, small", "other": "plain"}


def test_an_interceptor_answers_for_every_backend_and_only_in_its_body():
    with intercepted(lambda operator, *tensors, **options: (operator, tensors, options)), recorded() as used:
        assert choose("op", TABLE, QUERY, "absent").run(QUERY, size=9) == ("op", (QUERY,), {"size": 9})
    assert used == {}
    assert choose("op", TABLE, QUERY, "plain").run is math.fabs


def test_every_backend_in_the_body_runs_inside_a_span_of_its_name():
    seen = []

    @contextmanager
    def span(name):
        seen.append(f"begin {name}")
        yield
        seen.append("end")

    table = {"plain": Backend(lambda x, *, by: seen.append("run") or x * by, reads_half=True)}
    with spanned(span):
        entry = choose("op", table, QUERY, None)
    assert entry.reads_half
    assert entry.run(3, by=2) == 6
    assert seen == ["begin op[plain]", "run", "end"]
    assert choose("op", table, QUERY, None) is table["plain"]


def test_full_precision_switches_autocast_off_and_asks_nothing_of_a_device_without_it():
    x = torch.ones(2, 2)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert (x @ x).dtype == torch.bfloat16
        with full_precision(x.device):
            assert (x @ x).dtype == torch.float32
    with full_precision(torch.device("meta")):
        pass


def test_an_operator_computes_in_the_widest_of_its_types_and_at_least_in_float32():
    half, single, double = (torch.zeros(1, dtype=kind) for kind in (torch.bfloat16, torch.float32, torch.float64))
    assert full_type(half, None, half.half()) == full_type(half, single) == torch.float32
    assert full_type(half, single, None, double) == torch.float64


def test_a_missing_package_is_named_with_its_cure(monkeypatch):
    monkeypatch.setattr("auharness.ops.backends.find_spec", lambda name: None)
    assert needs("numba", extra="cpu")() == 'numba is not installed: pip install "auharness[cpu]"'
    monkeypatch.undo()
    assert needs("numba", extra="cpu")() is None


@pytest.fixture
def package(tmp_path, monkeypatch):
    """Install a package of this name whose `__init__` reads as given; it is forgotten with the test."""
    monkeypatch.syspath_prepend(tmp_path)

    def install(name, init):
        (tmp_path / name).mkdir()
        (tmp_path / name / "__init__.py").write_text(init)
        monkeypatch.delitem(sys.modules, name, raising=False)

    return install


@pytest.mark.parametrize("error", ["ImportError", "AttributeError"])
def test_a_package_that_does_not_import_counts_as_missing(package, error):
    package("too_new_for_numpy", f"raise {error}('it wants\\n another numpy')")
    missing = needs("too_new_for_numpy", extra="cpu")
    assert missing() == "too_new_for_numpy does not import: it wants another numpy"
    table = {"fast": Backend("too_new_for_numpy:run", missing=missing), "plain": Backend(abs)}
    assert resolve("op", table, QUERY, None) == "plain"


def test_a_package_whose_import_says_nothing_is_named_with_its_error(package):
    package("mute", "raise KeyError")
    assert needs("mute")() == "mute does not import: KeyError"


def test_a_package_is_imported_only_where_its_device_is_and_its_caller_does_not(package, monkeypatch):
    package("costly", "raise SystemError('was imported')")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert needs("costly", device="cuda")() == "no CUDA device"
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    assert needs("costly", device="cuda", load=False)() is None
    assert needs("costly", device="cuda")() == "costly does not import: was imported"


@pytest.mark.skipif(torch.cuda.is_available(), reason="asks for a machine without a GPU")
def test_a_missing_device_is_named():
    assert needs("numba", extra="cpu", device="cuda")() == "no CUDA device"
