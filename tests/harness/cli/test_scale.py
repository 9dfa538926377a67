import json

import pytest
import torch


def test_a_small_suite_writes_points_and_a_page(command, tmp_path):
    out = tmp_path / "points.jsonl"
    words = ["scale", "mixers", "--levels", "op", "--mixers", "attention", "--lengths", "16", "--sweeps", "length"]
    answer = command(*words, "--phases", "forward", "--seconds", "0", "--out", out, "--json")
    assert answer.code == 0
    found = json.loads(answer.out)
    assert (found["points"], found["broken"], found["page"]) == (1, 0, str(tmp_path / "points.md"))
    assert "attention" in answer.err


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--mixers", "mambo"], "no mixer 'mambo'; did you mean 'mamba'"),
        (["--levels", "opp"], "--levels: no 'opp'; did you mean 'op'"),
        (["--modes", "graph"], "--modes: no 'graph' (choose from eager, compiled)"),
        (["--phases", "backward"], "--phases: no 'backward'"),
        (["--lengths", "0"], "argument --lengths: expected a whole number from 1 up, got '0'"),
        (["--lengths", "abc"], "argument --lengths: expected a whole number from 1 up, got 'abc'"),
        (["--mini-batches", "-1"], "argument --mini-batches"),
        (["--seconds", "-1"], "argument --seconds: expected a number from 0 up, got '-1'"),
        (["--levels", ","], "argument --levels: expected names separated by commas, got none"),
        (["--sweeps", "mini-batch", "--mixers", "attention", "--levels", "op"], "nothing to measure"),
        (["--model", "vit-s16"], "--model vit-s16: the plugin has no setting 'mixer'"),
        (["--model", "nope"], "no model 'nope'"),
    ],
)
def test_a_wrong_word_is_one_line(command, words, message):
    answer = command("scale", "mixers", *words)
    assert answer.code == 2
    assert message in answer.err


@pytest.mark.skipif(torch.cuda.is_available(), reason="asks for a machine without a GPU")
def test_a_missing_gpu_is_one_line(command):
    answer = command("scale", "mixers", "--device", "cuda", "--levels", "op", "--mixers", "attention")
    assert answer.code == 3
    assert "torch sees no CUDA device" in answer.err
