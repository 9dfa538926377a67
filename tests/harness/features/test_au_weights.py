import numpy as np
import pytest

from auharness.data.landmarks.mean_shape import MEAN_SHAPE
from auharness.features.au_scores import SCORED, au_scores
from auharness.features.au_weights import EMOTION_AUS, au_weights, clip_weights


def peaks(**scores: float) -> dict[str, float]:
    return {f"AU{au}": 0.0 for au in SCORED} | scores


def test_a_clip_that_shows_its_label_weighs_more_by_the_stated_amount():
    shown, hidden = peaks(AU6=1.0, AU12=0.5), peaks()
    weights = au_weights([shown, hidden], ["Happy", "Happy"], strength=2.0)
    # 1 + 2 x 0.75 against 1, over their mean
    assert weights.tolist() == pytest.approx([2.5 / 1.75, 1 / 1.75])


def test_weights_have_mean_one_and_no_strength_changes_nothing():
    clips = [peaks(AU1=0.3, AU4=0.8), peaks(AU9=1.0), peaks(AU12=0.2)]
    labels = ["Sad", "Disgust", "Fear"]
    assert au_weights(clips, labels).mean() == pytest.approx(1)
    assert (au_weights(clips, labels, strength=0) == 1).all()


def test_neutral_agrees_with_a_face_that_does_not_move():
    weights = au_weights([peaks(), peaks(AU12=1.0, AU1=1.0, AU4=1.0)], ["Neutral", "Neutral"])
    assert weights[0] > weights[1]


def test_a_clip_without_valid_frames_gets_the_mean():
    unknown = dict.fromkeys(peaks(), float("nan"))
    weights = au_weights([peaks(AU6=1, AU12=1), peaks(), unknown], ["Happy", "Happy", "Happy"])
    assert weights[2] == pytest.approx(1)
    assert np.isfinite(au_weights([unknown], ["Sad"])).all()


def test_every_prototype_has_scores():
    assert {au for aus in EMOTION_AUS.values() for au in aus} <= set(SCORED)


def test_clips_without_a_label_weigh_one_and_the_others_as_their_landmarks_say():
    faces = np.tile(100 * MEAN_SHAPE, (3, 4, 1, 1)).astype(np.float32)
    # the mouth of the first clip widens and rises
    faces[0, 2:, [48, 54]] += np.array([[[-9.0, -9.0]], [[9.0, -9.0]]])
    valid = np.ones((3, 4), bool)
    found = clip_weights(faces, valid, ["Happy", "Happy", None], strength=2.0)
    by_hand = au_weights([au_scores(faces[row], valid=valid[row]).peaks() for row in (0, 1)], ["Happy"] * 2, strength=2)
    assert found.tolist() == pytest.approx([*by_hand, 1.0]) and found[0] > 1 > found[1]
    assert clip_weights(faces, valid, [None, None, None]).tolist() == [1.0, 1.0, 1.0]
