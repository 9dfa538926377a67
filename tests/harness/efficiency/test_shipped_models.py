"""Every shipped model can be counted, at the size of its paper and in every variant, without computing it."""

import pytest
import torch
from torch import nn

from auharness import registry
from auharness.efficiency import count, fvcore_count
from auharness.settings import default_preset, resolve
from auharness.testing import accepted_task, fake_batch


def built(name, *presets, device="meta"):
    """Return a model's module, or None where it has no network, and the inputs of one sample."""
    plugin = resolve(registry.load("model", name), presets=presets).plugin
    with torch.device("meta"):  # weights of no kind are loaded
        task = accepted_task(plugin)
    with torch.device(device):
        module = plugin.build(task)
    batch = fake_batch(plugin, task, size=1)
    return module, [batch[key].to(device) for key in plugin.inputs]


def variants():
    for name in registry.names("model"):
        plugin = registry.load("model", name)
        yield name, (default_preset(plugin, synthetic=False),)
        small = default_preset(plugin, synthetic=True)
        yield from ((name, (small, variant)) for variant in plugin.variants)


@pytest.mark.parametrize(("name", "presets"), list(variants()))
def test_the_count_covers_every_model(name, presets):
    module, inputs = built(name, *presets)
    cost = count(module, inputs)
    assert cost.coverage >= 0.99, cost.uncounted
    assert cost.parameters == sum(p.numel() for p in module.parameters())
    products = [part for part in module.modules() if isinstance(part, nn.Linear | nn.Conv2d)]
    assert bool(products) == (cost.macs > 0)
    assert cost.flops >= 2 * cost.macs


@pytest.mark.parametrize("name", ["vit-s16", "small-cnn"])
def test_fvcore_agrees_at_full_size(name):
    pytest.importorskip("fvcore")
    module, inputs = built(name, "paper", device="cpu")
    assert fvcore_count(module, inputs).macs == pytest.approx(count(module, inputs).macs, rel=0.01)


@pytest.mark.parametrize("name", ["au-ttt", "vit-s16", "small-cnn", "pixel-probe"])
def test_fvcore_agrees_at_the_tiny_size(name):
    pytest.importorskip("fvcore")
    module, inputs = built(name, "tiny", device="cpu")
    assert fvcore_count(module, inputs).macs == pytest.approx(count(module, inputs).macs, rel=0.01)


def test_the_count_of_vit_small_is_the_published_one():
    # DeiT-S, the same network: 22 M parameters, 4.6 GFLOPs, which are MACs (arXiv:2012.12877, table 5)
    module, inputs = built("vit-s16", "paper")
    cost = count(module, inputs)
    assert cost.macs == pytest.approx(4.6e9, rel=0.01)
    assert cost.parameters == pytest.approx(22e6, rel=0.02)


def test_the_inner_loop_of_au_ttt_is_in_the_count():
    ttt, linear = (count(*built("au-ttt", "tiny", variant)) for variant in ("original-ttt", "baseline"))
    assert not linear.mixers
    assert ttt.mixers["ttt_linear"].macs > 0
    assert ttt.macs > linear.macs + ttt.mixers["ttt_linear"].macs
