import json

import pytest
import torch


def test_counts_are_printed_with_their_coverage(command, tmp_path):
    out = tmp_path / "rows.jsonl"
    answer = command("bench", "small-cnn", "au-ttt", "--preset", "tiny", "--counts-only", "--out", out)
    assert answer.code == 0
    small, ttt = answer.out.splitlines()[2:0:-1]
    assert small.split()[:2] == ["au-ttt", "tiny"] or ttt.split()[:2] == ["au-ttt", "tiny"]
    assert answer.out.count("100.00 %") == 2
    assert "au-ttt tiny bp4d: 0.00729 GMACs" in answer.err
    assert len(out.read_text().splitlines()) == 2


def test_rows_are_json_for_machines(command, tmp_path):
    words = ["bench", "pixel-probe", "--preset", "tiny", "--counts-only", "--quiet", "--json"]
    answer = command(*words, "--out", tmp_path / "rows.jsonl")
    assert answer.code == 0
    found = json.loads(answer.out)
    (count,) = found["rows"]
    assert (count["what"], count["dataset"], count["coverage"], found["broken"]) == ("count", "bp4d", 1.0, 0)


def test_times_are_printed_with_what_they_were_measured_on(command, monkeypatch, tmp_path):
    from auharness.bench import suite

    def serve(timer, mode, batch):
        point = {"best_ms": 1.0, "p50_ms": 1.25, "p95_ms": 2.0, "samples": 9, "clock": "cpu time"}
        return timer._time(mode, batch, status="ok", **point)

    monkeypatch.setattr(suite._Timer, "_serve", serve)
    words = ["bench", "pixel-probe", "--preset", "tiny", "--modes", "eager,compiled", "--batches", "1,4", "--quiet"]
    answer = command(*words, "--out", tmp_path / "rows.jsonl")
    rows = [line.split() for line in answer.out.splitlines() if line.startswith("pixel-probe")]
    assert [row[2:] for row in rows[1:]] == [
        [mode, "float32", "1.25", "2", "3200", "4", "n/a"] for mode in ("eager", "compiled")
    ]
    assert "it is no speed to be quoted" in answer.out
    assert "cpu, 1 thread" in answer.out


def test_growth_stands_beside_each_side_and_a_refused_one_breaks_nothing(command, tmp_path):
    words = ["bench", "vit-s16", "--input", "100,112,224", "--counts-only", "--quiet"]
    answer = command(*words, "--out", tmp_path / "rows.jsonl")
    assert answer.code == 0
    assert "1.00x" in answer.out
    assert "4.18x" in answer.out  # 4 in the projections, 16 in the scores of attention
    refused = "the crop of 100 px is no multiple of the patch of 16 px; set preprocess.crop or patch"
    note = f"vit-s16 paper bp4d 100 px: refused: {refused}; give another size than --input 100"
    assert note in answer.out.splitlines()


@pytest.mark.parametrize(("side", "bound"), [(8, "greater than or equal to 16"), (9000, "less than or equal to 4096")])
def test_a_size_out_of_range_is_named_with_its_range_and_the_model(command, tmp_path, side, bound):
    words = ["bench", "cnn3d", "--input", f"{side},64", "--counts-only", "--quiet"]
    answer = command(*words, "--out", tmp_path / "rows.jsonl")
    assert answer.code == 0
    (line,) = [line for line in answer.out.splitlines() if "refused" in line]
    each = [f"preprocess.{name} is {side} (--input), expected {bound}" for name in ("resize", "crop")]
    assert line == f"cnn3d paper casme2 {side} px: refused: {'; '.join(each)}; give another size than --input {side}"


def test_times_of_other_code_are_said_to_be_taken_again(command, edited_plugin, monkeypatch, tmp_path):
    from auharness.bench import suite

    monkeypatch.setattr(suite._Timer, "_serve", lambda timer, mode, batch: timer._time(mode, batch, status="ok"))
    words = ["bench", "small-cnn", "--preset", "tiny", "--batches", "1,2", "--out", tmp_path / "rows.jsonl"]
    assert "other code" not in command(*words).err + command(*words).err
    edited_plugin("small-cnn")
    assert command(*words).err.count("are of other code; measured again") == 1
    assert "other code" not in command(*words).err


def test_labels_of_every_data_set_that_a_model_accepts(command, tmp_path):
    words = ["bench", "small-cnn", "--dataset", "all", "--preset", "tiny", "--counts-only", "--json", "--quiet"]
    rows = json.loads(command(*words, "--out", tmp_path / "rows.jsonl").out)["rows"]
    assert [(row["dataset"], row["outputs"]) for row in rows] == [("bp4d", 12), ("disfa", 8), ("affwild2", 12)]


def test_a_model_that_refuses_its_labels_is_one_line_and_exit_code_4(command, tmp_path):
    words = ["bench", "mamba-dfer", "sssnet", "--dataset", "casme2", "--preset", "tiny", "--counts-only"]
    answer = command(*words, "--out", tmp_path / "rows.jsonl")
    assert answer.code == 4
    assert "mamba-dfer tiny casme2: refused: mamba-dfer tells classes of clips apart" in answer.err
    assert "sssnet tiny casme2: " in answer.err


def test_labels_that_no_run_gives_to_a_model_are_one_line(command, tmp_path):
    words = ["bench", "sssnet", "--dataset", "bp4d", "--preset", "tiny", "--counts-only"]
    answer = command(*words, "--out", tmp_path / "rows.jsonl")
    assert (answer.code, len(answer.err.splitlines())) == (2, 1)
    assert "no run trains sssnet on frame-multilabel labels" in answer.err


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["au-tt"], "no model 'au-tt'; did you mean 'au-ttt'"),
        (["au-ttt", "--preset", "tinny"], "'au-ttt' has no preset 'tinny'; did you mean 'tiny'"),
        (["au-ttt", "--set", "mixr=mamba"], "'au-ttt' has no setting 'mixr' (--set); did you mean 'mixer'"),
        (["au-ttt", "--dataset", "bp4"], "no dataset 'bp4'; did you mean 'bp4d'"),
        (["au-ttt", "--modes", "graph"], "--modes: no 'graph' (choose from eager, compiled)"),
        (["au-ttt", "--batches", "0"], "argument --batches: expected a whole number from 1 up, got '0'"),
        (["au-ttt", "--input", ","], "argument --input: expected numbers separated by commas, got none"),
        (["au-ttt", "--max-seconds", "nan"], "argument --max-seconds: expected seconds above 0, got 'nan'"),
    ],
)
def test_a_wrong_word_is_one_line(command, words, message):
    answer = command("bench", *words)
    assert answer.code == 2
    assert message in answer.err


@pytest.mark.skipif(torch.cuda.is_available(), reason="asks for a machine without a GPU")
def test_a_missing_gpu_is_one_line(command, tmp_path):
    answer = command("bench", "small-cnn", "--device", "cuda", "--out", tmp_path / "rows.jsonl")
    assert answer.code == 3
    assert "torch sees no CUDA device" in answer.err
