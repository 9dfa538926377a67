import json

import pytest
import torch


def test_a_small_suite_writes_points_and_a_page(command, tmp_path):
    out = tmp_path / "points.jsonl"
    words = ["scale", "mixers", "--levels", "op", "--mixers", "attention", "--lengths", "16", "--sweeps", "length"]
    answer = command(*words, "--passes", "forward", "--seconds", "0", "--out", out, "--json")
    assert answer.code == 0
    found = json.loads(answer.out)
    assert (found["points"], found["broken"], found["page"]) == (1, 0, str(tmp_path / "mixer-scaling.md"))
    assert "attention" in answer.err


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--mixers", "mambo"], "no mixer 'mambo'; did you mean 'mamba'"),
        (["--levels", "opp"], "--levels: no 'opp'; did you mean 'op'"),
        (["--modes", "graph"], "--modes: no 'graph' (choose from eager, compiled)"),
        (["--passes", "backward"], "--passes: no 'backward'"),
        (["--lengths", "0"], "argument --lengths"),
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
