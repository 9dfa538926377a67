from collections.abc import Callable

import numpy as np
import pandas as pd
import pytest

from auharness import registry
from auharness.errors import UsageError
from auharness.results.schema import UnitRecord
from auharness.results.store import RunFolder
from auharness.runner import RunResult
from auharness.scoring.smoothing import smooth, smoothed_units

Run = Callable[..., RunResult]


def by_hand(ids: list[str], scores: np.ndarray, reach: int) -> np.ndarray:
    """The mean over all rows of the same recording at most `reach` frame numbers away."""
    split = [(name.rpartition("/")[0], int(name.rpartition("/")[2])) for name in ids]
    means = [
        np.mean([s for (r, f), s in zip(split, scores, strict=True) if r == recording and abs(f - frame) <= reach], 0)
        for recording, frame in split
    ]
    return np.stack(means)


@pytest.mark.parametrize("reach", [1, 3, 50])
def test_each_frame_is_the_mean_of_its_neighbours_by_number_in_its_recording(reach: int) -> None:
    random = np.random.default_rng(reach)
    ids = [
        f"d/{video}/{frame}"
        for video, last in (("a", 30), ("b_left", 12), ("b", 40))
        for frame in sorted(random.choice(last, last // 2 + 1, replace=False) + 1)
    ]
    ids = list(random.permutation(ids))
    scores = random.random((len(ids), 3))
    np.testing.assert_allclose(smooth(pd.Series(ids), scores, reach), by_hand(ids, scores, reach), rtol=1e-14)


def test_a_video_never_reaches_into_the_next() -> None:
    ids = pd.Series(["d/a/9", "d/a/10", "d/b/1", "d/b/2"])
    assert smooth(ids, np.array([[0.0], [0.0], [1.0], [1.0]]), 5).ravel().tolist() == [0, 0, 1, 1]


def test_scores_at_the_threshold_stay_there() -> None:
    ids = pd.Series([f"d/a/{frame}" for frame in range(100)])
    assert (smooth(ids, np.full((100, 1), 0.5), 3) == 0.5).all()


def said_present(unit: UnitRecord) -> int:
    return int(np.array([item.counts for item in unit.clusters])[..., :2].sum())


def test_logits_are_averaged_as_probabilities_and_the_row_is_marked(run_mini: Run) -> None:
    run, protocol = RunFolder(run_mini(folds=("P1",)).path), registry.load("protocol", "bp4d-3fold")()
    path, columns = next(run.path.glob("units/*/predictions.parquet")), list(protocol.columns)
    frame = pd.read_parquet(path)
    logits = np.where(np.arange(len(frame)) % 4 == 0, 30.0, -2.0)
    frame[columns] = np.repeat(logits[:, None], len(columns), axis=1)
    frame.to_parquet(path, index=False)
    (unit,) = smoothed_units(protocol, run, 1000)
    coded = frame[[f"{name}.target" for name in columns]].to_numpy() >= 0
    recording = frame["sample_id"].str.rpartition("/")[0]
    means = [pd.Series(values).groupby(recording).transform("mean") for values in (1 / (1 + np.exp(-logits)), logits)]
    as_probability, as_logit = (
        int(coded[(mean >= cut).to_numpy()].sum()) for mean, cut in zip(means, (0.5, 0), strict=True)
    )
    assert said_present(unit) == as_probability < as_logit
    assert (unit.extra_data, unit.n_frames) == ("smoothed +-1000 frames", len(frame))


def test_clips_and_a_reach_of_nothing_are_refused(run_mini: Run) -> None:
    run, protocol = RunFolder(run_mini(folds=("P1",)).path), registry.load("protocol", "bp4d-3fold")()
    with pytest.raises(UsageError, match=r"--smooth 0: expected the number of frames"):
        smoothed_units(protocol, run, 0)
    path = next(run.path.glob("units/*/predictions.parquet"))
    frame = pd.read_parquet(path)
    frame.assign(sample_id=[f"casme2/clip{row}" for row in range(len(frame))]).to_parquet(path, index=False)
    with pytest.raises(UsageError, match="only frames follow each other in time"):
        smoothed_units(protocol, run, 3)
