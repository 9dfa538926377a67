from typing import ClassVar

import cv2
import numpy as np
import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file
from torch import nn

import auharness.training.pretrain as under_test
from auharness.api import ModelPlugin, Preprocess
from auharness.errors import UsageError
from auharness.nn.encoder import Block, Encoder
from auharness.nn.weights import load_matching
from auharness.training.pretrain import Pretraining, mixed, pretrain


class _MeanMixer(nn.Module):
    def forward(self, tokens):
        return tokens.mean(dim=1, keepdim=True).expand_as(tokens)


class _Small(ModelPlugin):
    name: ClassVar[str] = "small"
    preprocess: Preprocess = Preprocess(resize=16, crop=16)

    def encoder(self, image_size):
        return Encoder([Block(8, mixer=_MeanMixer())], image_size=image_size, patch=8, dim=8)

    def build(self, task):
        return nn.ModuleDict({"encoder": self.encoder(16), "head": nn.Linear(8, 2)})


@pytest.fixture
def folder(tmp_path):
    chance = np.random.default_rng(0)
    root = tmp_path / "tiny-imagenet"
    for name, red in (("blue", 40), ("red", 200)):
        (root / name).mkdir(parents=True)
        for index in range(6):
            picture = chance.integers(0, 40, (20, 20, 3), dtype=np.uint8)
            picture[..., 2] += red
            cv2.imwrite(str(root / name / f"{index}.png"), picture)
    return root


SETTINGS = Pretraining(epochs=3, batch_size=4, lr=0.4)


def test_deit_table_9_recipe():
    # Touvron et al., ICML 2021, table 9
    recipe = Pretraining()
    assert (recipe.epochs, recipe.warmup_epochs, recipe.batch_size) == (300, 5, 1024)
    assert (recipe.lr, recipe.weight_decay, recipe.label_smoothing) == (5e-4, 0.05, 0.1)
    assert (recipe.mixup, recipe.cutmix) == (0.8, 1.0)


def test_the_file_holds_the_encoder_and_says_what_it_was_trained_on(folder, tmp_path):
    out = pretrain(_Small(), folder, out=tmp_path / "w.safetensors", settings=SETTINGS, name="Tiny")
    module = _Small().build(None)
    assert load_matching(module, load_file(out)) == ["head.weight", "head.bias"]
    with safe_open(out, framework="pt") as file:
        metadata = file.metadata()
    assert metadata["pretrained_on"].startswith("Tiny (12 images, 2 classes, sha256 ")
    assert metadata["model"] == "small"
    assert not list(tmp_path.glob("*.state"))


def test_it_learns_what_the_classes_differ_in(folder, tmp_path):
    losses = []
    settings = Pretraining(epochs=8, batch_size=6, lr=1.0, label_smoothing=0.0, mixup=0.0, cutmix=0.0)
    pretrain(
        _Small(),
        folder,
        out=tmp_path / "w.safetensors",
        settings=settings,
        log=lambda event, **values: losses.append(values["loss"]) if event == "epoch" else None,
    )
    assert losses[-1] < 0.3 < losses[0]


def test_a_killed_pre_training_goes_on_bit_for_bit(folder, tmp_path, monkeypatch):
    whole = pretrain(_Small(), folder, out=tmp_path / "whole.safetensors", settings=SETTINGS)
    killed = tmp_path / "killed.safetensors"
    save = under_test.save_state

    def die(path, state):
        save(path, state)
        raise KeyboardInterrupt

    monkeypatch.setattr(under_test, "save_state", die)
    for _ in range(2):
        with pytest.raises(KeyboardInterrupt):
            pretrain(_Small(), folder, out=killed, settings=SETTINGS)
        assert not killed.exists()
    monkeypatch.undo()
    events = []
    pretrain(_Small(), folder, out=killed, settings=SETTINGS, log=lambda event, **values: events.append(event))
    assert events == ["resumed", "epoch", "finished"]
    first, second = load_file(whole), load_file(killed)
    assert first.keys() == second.keys()
    assert all(torch.equal(first[name], second[name]) for name in first)


def test_a_finished_file_is_left_alone_and_one_of_other_settings_is_never_overwritten(folder, tmp_path):
    out = pretrain(_Small(), folder, out=tmp_path / "w.safetensors", settings=SETTINGS)
    before = out.read_bytes()
    pretrain(_Small(), folder, out=out, settings=SETTINGS)
    with pytest.raises(UsageError, match="holds weights of other settings or data; delete it or give another --out"):
        pretrain(_Small(), folder, out=out, settings=Pretraining(epochs=1))
    assert out.read_bytes() == before


def test_the_state_of_another_pre_training_is_refused(folder, tmp_path, monkeypatch):
    save = under_test.save_state

    def die(path, state):
        save(path, state)
        raise KeyboardInterrupt

    monkeypatch.setattr(under_test, "save_state", die)
    with pytest.raises(KeyboardInterrupt):
        pretrain(_Small(), folder, out=tmp_path / "w.safetensors", settings=SETTINGS)
    with pytest.raises(UsageError, match="left by a pre-training with other settings"):
        pretrain(_Small(), folder, out=tmp_path / "w.safetensors", settings=Pretraining(epochs=9, batch_size=4))


def test_a_model_without_an_encoder_is_refused(folder, tmp_path):
    class Flat(ModelPlugin):
        name: ClassVar[str] = "flat"

        def build(self, task):
            return nn.Identity()

    with pytest.raises(UsageError, match=r"'flat' cannot be pre-trained: it has no encoder"):
        pretrain(Flat(), folder, out=tmp_path / "w.safetensors", settings=SETTINGS)


@pytest.mark.parametrize(("mixup", "cutmix"), [(0.8, 0.0), (0.0, 1.0), (0.8, 1.0)])
def test_targets_are_mixed_in_the_share_of_the_pixels(mixup, cutmix):
    images = torch.stack((torch.zeros(3, 16, 16), torch.ones(3, 16, 16)))
    shares = set()
    for seed in range(20):
        generator = torch.Generator().manual_seed(seed)
        mix, targets = mixed(images, torch.eye(2), mixup=mixup, cutmix=cutmix, generator=generator)
        torch.testing.assert_close(mix.mean(dim=(1, 2, 3)), targets[:, 1], atol=1e-5, rtol=1e-5)
        torch.testing.assert_close(targets.sum(1), torch.ones(2))
        shares.add(round(float(targets[0, 0]), 4))
    assert len(shares) > 5


def test_mixing_can_be_switched_off():
    images, targets = torch.randn(2, 3, 4, 4), torch.eye(2)
    kept = mixed(images, targets, mixup=0.0, cutmix=0.0, generator=torch.Generator())
    assert kept[0] is images
    assert kept[1] is targets


def test_mixup_shares_follow_the_beta_distribution():
    from scipy.stats import beta, kstest

    generator = torch.Generator().manual_seed(0)
    images, targets = torch.zeros(2, 1, 1, 1), torch.eye(2)
    shares = [float(mixed(images, targets, mixup=0.8, cutmix=0.0, generator=generator)[1][0, 0]) for _ in range(500)]
    assert kstest(shares, beta(0.8, 0.8).cdf).pvalue > 0.01
