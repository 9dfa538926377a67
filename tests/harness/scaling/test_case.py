from auharness.scaling.case import Case, grid_side, plan

OPTIONS = {"lengths": [64, 197], "tokens": 512, "mini_batches": [1, 16, "L"], "frames": [1, 4], "at": 64}


def cases(level, names, *sweeps):
    return plan({level: names}, sweeps=sweeps, dtype="float32", **OPTIONS)


def test_the_length_sweep_takes_one_sequence_of_each_length_short_ones_first():
    assert cases("op", ["mamba"], "length") == [Case("op", "mamba", "length", 64), Case("op", "mamba", "length", 197)]


def test_the_token_sweep_keeps_batch_times_length():
    assert [(case.length, case.batch) for case in cases("op", ["mamba"], "tokens")] == [(197, 2), (64, 8)]


def test_a_mini_batch_is_swept_for_ttt_only_and_up_to_the_whole_sequence():
    assert [case.mini_batch for case in cases("op", ["ttt"], "mini-batch")] == [1, 16, 64]
    assert cases("op", ["attention"], "mini-batch") == []
    assert cases("model", ["ttt"], "mini-batch") == []


def test_frames_are_swept_for_models_only():
    assert [(case.length, case.frames, case.tokens) for case in cases("model", ["ttt"], "frames")] == [
        (197, 1, 197),
        (197, 4, 788),
    ]
    assert cases("layer", ["ttt"], "frames") == []


def test_a_model_takes_the_square_image_nearest_to_a_length():
    assert grid_side(197) == 14  # 224 pixels
    assert [case.length for case in cases("model", ["ttt"], "length")] == [65, 197]


def test_no_case_is_planned_twice():
    assert len(plan({"op": ["ttt"]}, sweeps=["length", "length"], dtype="float32", **OPTIONS)) == 2
