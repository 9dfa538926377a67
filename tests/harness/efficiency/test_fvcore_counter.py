import builtins

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from auharness.api import Output
from auharness.efficiency import count, fvcore_count
from auharness.efficiency.fvcore_counter import HANDLES
from auharness.errors import DataError
from auharness.nn.mixers import MIXERS

pytest.importorskip("fvcore")


class Doubled(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x, w):
        return 2 * x @ w


def test_normalisations_and_resampling_add_no_macs():
    model = nn.Sequential(
        nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.GroupNorm(2, 4), nn.LayerNorm(6), nn.AdaptiveAvgPool2d(2)
    )
    assert fvcore_count(model, [torch.zeros(1, 3, 8, 8)]).macs == 27 * 4 * 36


def test_torch_attention_has_a_handle():
    q, k, v = torch.zeros(2, 3, 5, 8), torch.zeros(2, 3, 7, 8), torch.zeros(2, 3, 7, 4)
    found = fvcore_count(F.scaled_dot_product_attention, [q, k, v])
    assert found.macs == 6 * 5 * 7 * (8 + 4)
    assert "aten::scaled_dot_product_attention" not in found.skipped


@pytest.mark.parametrize("name", sorted(MIXERS))
def test_a_mixer_counts_as_by_its_formula(name):
    mixer, x = MIXERS[name](24, heads=2), torch.zeros(1, 33, 24)
    found = fvcore_count(mixer, [x])
    # the layers return no state, and a trace leaves out the last update
    assert found.macs == pytest.approx(count(mixer, [x]).macs, rel=0.01)
    assert not any("PythonOp" in operator for operator in found.skipped)


def test_an_autograd_function_is_skipped_unless_it_has_a_handle():
    x, w = torch.zeros(5, 3), torch.zeros(3, 4)
    found = fvcore_count(Doubled.apply, [x, w])
    assert (found.macs, found.skipped) == (0, {"prim::PythonOp.Doubled": 1})
    handles = {**HANDLES, "prim::PythonOp.Doubled": lambda inputs, outputs: 3 * 20}
    assert fvcore_count(Doubled.apply, [x, w], handles=handles).macs == 60


def test_a_model_may_return_an_output_with_extras():
    def model(x):
        return Output(x @ x.T, {"again": x.T @ x})

    assert fvcore_count(model, [torch.zeros(2, 3)]).macs == 12 + 18


def test_its_absence_is_told_with_the_cure(monkeypatch):
    real = builtins.__import__

    def without(name, *args, **kwargs):
        if name.startswith("fvcore"):
            raise ModuleNotFoundError(name)
        return real(name, *args, **kwargs)

    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(DataError, match=r'fvcore is not installed: pip install "auharness\[flops\]"'):
        fvcore_count(nn.Linear(2, 2), [torch.zeros(1, 2)])
