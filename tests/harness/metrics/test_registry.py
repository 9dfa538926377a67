import subprocess
import sys

import numpy as np
import pytest

from auharness.errors import UsageError
from auharness.metrics import METRICS, metric


@pytest.mark.parametrize("name", METRICS)
def test_every_metric_returns_what_its_entry_says(name: str) -> None:
    generator = np.random.default_rng(0)
    entry = metric(name)
    assert entry.name == name
    if entry.needs == "counts":
        values = entry.compute(generator.integers(0, 50, size=(6, 3, 4)))
        assert values.shape == (6, 3)
    elif entry.needs == "confusion":
        values = entry.compute(generator.integers(0, 50, size=(6, 3, 3)))
        assert values.shape == ((6, 3) if entry.per_class else (6,))
        assert entry.by_label(np.diag([3, 2])).shape == ((2,) if entry.per_class else (1,))
    else:
        values = entry.compute(generator.integers(0, 2, size=(60, 3)), generator.random((60, 3)))
        assert values.shape == (3,)
    assert ((entry.bounds[0] <= values) & (values <= entry.bounds[1])).all()


def test_perfect_prediction_reaches_the_upper_bound_of_every_metric() -> None:
    target = np.array([[0, 1], [1, 0], [1, 1], [0, 0]])
    perfect = {
        "counts": (np.array([[2, 0, 0, 2]]),),
        "confusion": (np.diag([3, 2]),),
        "scores": (target, target.astype(float)),
    }
    for entry in METRICS.values():
        assert np.allclose(entry.compute(*perfect[entry.needs]), entry.bounds[1]), entry.name


def test_unknown_metric_names_the_nearest() -> None:
    with pytest.raises(UsageError, match="did you mean 'auroc'"):
        metric("aurocc")


def test_metrics_and_statistics_do_not_import_torch() -> None:
    code = "import sys, auharness.metrics, auharness.statistics; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
