import argparse
import json
import subprocess
import sys

import cv2
import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from auharness.cli.common import Parser
from auharness.cli.pretrain import add_parser
from auharness.errors import UsageError
from auharness.records import Task
from auharness.settings import resolve
from auharness_plugins.models.au_ttt import AUTTT


def _run(*words):
    parser = Parser()
    add_parser(parser.add_subparsers(parser_class=Parser))
    args: argparse.Namespace = parser.parse_args(["pretrain", *map(str, words)])
    return args.handler(args)


@pytest.fixture
def folder(tmp_path):
    chance = np.random.default_rng(0)
    for name in ("cat", "dog"):
        (tmp_path / "data" / name).mkdir(parents=True)
        for index in range(2):
            picture = chance.integers(0, 256, (60, 60, 3), dtype=np.uint8)
            cv2.imwrite(str(tmp_path / "data" / name / f"{index}.jpg"), picture)
    return tmp_path / "data"


def test_the_weights_of_a_pre_trained_au_ttt_start_a_run(folder, tmp_path, capsys):
    out = tmp_path / "w.safetensors"
    sizes = ("--preset", "tiny", "--set", "dim=16", "--set", "depth=1")
    words = ("--model", "au-ttt", "--data", folder, "--out", out, *sizes, "--epochs", 1, "--device", "cpu", "--json")
    assert _run(*words) == 0
    captured = capsys.readouterr()
    assert json.loads(captured.out) == {"weights": str(out)}
    assert "epoch: epoch=1 epochs=1 loss=" in captured.err
    task = Task(("AU1", "AU12"), "frame-multilabel", "bp4d", (1, 1), (2, 2), image_size=64)
    plugin = resolve(AUTTT, presets=["tiny"], layers=[("--set", {"dim": 16, "depth": 1})]).plugin
    module = plugin.build(task)
    weights = load_file(out)
    missing = plugin.load_weights(module, weights)
    assert all(".roi." in name or "head" in name or name == "alpha" for name in missing)
    assert torch.equal(module.encoder.patches.layers[0].weight, weights["encoder.patches.layers.0.weight"])


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("--out", "w.pt"), r"--out w\.pt: expected a name that ends in \.safetensors"),
        (("--out", "w.safetensors", "--epochs", 0), "--epochs is 0, expected greater than or equal to 1"),
        (("--out", "w.safetensors", "--precision", "8"), "--precision is '8', expected '32-true'"),
        (("--out", "w.safetensors", "--set", "dept=3"), "did you mean 'depth'"),
    ],
)
def test_a_wrong_option_is_one_line(folder, words, message):
    with pytest.raises(UsageError, match=message):
        _run("--model", "au-ttt", "--data", folder, *words)


def test_a_file_of_another_kind_is_never_overwritten(folder, tmp_path):
    out = tmp_path / "w.safetensors"
    out.write_text("mine")
    with pytest.raises(UsageError, match="exists and is no safetensors file"):
        _run("--model", "au-ttt", "--data", folder, "--out", out, "--preset", "tiny")
    assert out.read_text() == "mine"


def test_a_model_that_cannot_be_pre_trained_says_which_can(folder, tmp_path):
    with pytest.raises(UsageError, match="'small-cnn' cannot be pre-trained"):
        _run("--model", "small-cnn", "--data", folder, "--out", tmp_path / "w.safetensors")


def test_the_command_module_imports_nothing_heavy():
    code = "import sys, auharness.cli.pretrain; print(sorted({'torch', 'numpy', 'pydantic'} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
