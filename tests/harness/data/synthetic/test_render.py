import time

import cv2
import numpy as np
import pytest

from auharness.data.synthetic.body import backdrop, body, stage
from auharness.data.synthetic.geometry import MIRROR, neutral_landmarks
from auharness.data.synthetic.hair import back_hair
from auharness.data.synthetic.identity import sample_identity, sample_scene
from auharness.data.synthetic.muscles import RENDERED_AUS
from auharness.data.synthetic.render import render_face
from auharness.data.synthetic.skin import still_layers
from auharness.errors import UsageError

SEEDS = (0, 7)


def render(seed, aus=None, *, domain="bp4d", **options):
    return render_face(sample_identity(seed), sample_scene(domain, seed), aus or {}, **options)


def frontal(seed, aus):
    """Landmarks in units of the eye distance, so that limits do not depend on the framing."""
    landmarks = render(seed, aus, size=192)[1].astype(np.float64)
    scale = np.linalg.norm(landmarks[36:42].mean(axis=0) - landmarks[42:48].mean(axis=0))
    return landmarks / scale


@pytest.mark.parametrize("size", [96, 256, 300])
def test_frame_and_landmarks_have_the_promised_types(size):
    image, landmarks = render(1, {12: 0.5}, size=size)
    assert (image.shape, image.dtype) == ((size, size, 3), np.uint8)
    assert (landmarks.shape, landmarks.dtype) == ((68, 2), np.float32)


@pytest.mark.parametrize("domain", ["bp4d", "disfa", "affwild2"])
@pytest.mark.parametrize("pose", [(0, 0, 0), (25, 0, 0), (-25, 10, -12), (0, 25, 8), (10, -25, 0)])
def test_landmarks_stay_inside_the_frame(domain, pose):
    for seed in SEEDS:
        landmarks = render(seed, {26: 1.0}, domain=domain, pose=pose)[1]
        assert landmarks.min() >= 0
        assert landmarks.max() <= 255


def test_landmarks_follow_the_dlib_order():
    for seed in SEEDS:
        points = render(seed)[1]
        x, y = points[:, 0], points[:, 1]
        assert (np.diff(x[:17]) > -2).all()  # jaw from image left to image right, nearly upright at its ends
        assert (np.diff(x[17:27]) > 0).all()  # brows
        assert (np.diff(y[27:31]) > 0).all()  # down the bridge of the nose
        assert x[36] < x[39] < x[42] < x[45]  # eye corners
        assert (y[[37, 38]] < y[[41, 40]]).all()  # upper lid above lower lid
        assert (np.diff(x[48:55]) > 0).all()
        assert (np.diff(x[54:60]) < 0).all()
        assert y[51] < y[62] <= y[66] < y[57]  # upper lip, opening, lower lip
        assert y[8] == y.max()


def test_mirrored_landmarks_lie_on_the_other_half_of_a_frontal_face():
    for seed in SEEDS:
        points = render(seed)[1]
        middle = points[27:31, 0].mean()
        mirrored = points[list(MIRROR)] * (-1, 1) + (2 * middle, 0)
        assert np.abs(mirrored - points).max() < 4.5  # faces are asymmetric by a pixel or two


def test_landmarks_turn_with_the_head():
    still, turned, tilted = (render(2, pose=pose)[1] for pose in ((0, 0, 0), (20, 0, 0), (0, 0, 10)))
    assert turned[30, 0] - turned[[0, 16], 0].mean() > still[30, 0] - still[[0, 16], 0].mean() + 10
    eyes = tilted[42:48].mean(axis=0) - tilted[36:42].mean(axis=0)
    rest = still[42:48].mean(axis=0) - still[36:42].mean(axis=0)
    angle = np.degrees(np.arctan2(eyes[1], eyes[0]) - np.arctan2(rest[1], rest[0]))
    assert angle == pytest.approx(10, abs=1)


def test_irises_are_dark_where_the_landmarks_put_the_eyes():
    for seed in (1, 6):
        image, points = render(seed, pose=(8, 3, 4))
        grey = image.astype(np.float64).mean(axis=2)
        for eye in (slice(36, 42), slice(42, 48)):
            x, y = points[eye].mean(axis=0)
            ball = grey[round(y) - 2 : round(y) + 3, round(x) - 3 : round(x) + 4]
            corner = points[eye][[0, 3]].mean(axis=0) + np.array([0, 16])
            cheek = grey[round(corner[1]) - 2 : round(corner[1]) + 3, round(corner[0]) - 3 : round(corner[0]) + 4]
            assert ball.min() < 0.7 * cheek.mean()


# AU, what is measured (in eye distances; +y is down), the smallest expected change
MOVES = [
    (1, lambda p: -p[[21, 22], 1].mean(), 0.06),
    (2, lambda p: -p[[18, 25], 1].mean(), 0.06),
    (4, lambda p: p[[20, 21, 22, 23], 1].mean(), 0.04),
    (4, lambda p: p[21, 0] - p[22, 0], 0.06),
    (5, lambda p: p[[40, 41, 46, 47], 1].mean() - p[[37, 38, 43, 44], 1].mean(), 0.03),
    (6, lambda p: p[[37, 38, 43, 44], 1].mean() - p[[40, 41, 46, 47], 1].mean(), 0.03),
    (7, lambda p: p[[37, 38, 43, 44], 1].mean() - p[[40, 41, 46, 47], 1].mean(), 0.04),
    (9, lambda p: -p[[31, 35], 1].mean(), 0.05),
    (10, lambda p: -p[[50, 52], 1].mean(), 0.05),
    (12, lambda p: -p[[48, 54], 1].mean(), 0.08),
    (12, lambda p: p[54, 0] - p[48, 0], 0.12),
    (14, lambda p: p[54, 0] - p[48, 0], 0.05),
    (15, lambda p: p[[48, 54], 1].mean(), 0.08),
    (17, lambda p: -p[57, 1], 0.05),
    (20, lambda p: p[54, 0] - p[48, 0], 0.12),
    (23, lambda p: p[48, 0] - p[54, 0], 0.10),
    (24, lambda p: p[51, 1] - p[57, 1], 0.06),
    (25, lambda p: p[66, 1] - p[62, 1], 0.05),
    (26, lambda p: p[66, 1] - p[62, 1], 0.10),
    (26, lambda p: p[8, 1], 0.12),
    (45, lambda p: p[[37, 38, 43, 44], 1].mean() - p[[40, 41, 46, 47], 1].mean(), 0.10),
]


@pytest.mark.parametrize(("au", "measure", "least"), MOVES, ids=[f"AU{au}-{i}" for i, (au, _, _) in enumerate(MOVES)])
def test_an_au_moves_the_landmarks_that_it_names(au, measure, least):
    for seed in SEEDS:
        assert measure(frontal(seed, {au: 1.0})) - measure(frontal(seed, {})) > least


def test_every_rendered_au_has_a_direction_test():
    assert {au for au, _, _ in MOVES} == set(RENDERED_AUS)


def test_intensity_grows_what_is_seen():
    opened = [frontal(3, {26: value}) for value in (0.0, 0.3, 0.6, 1.0)]
    gaps = [points[66, 1] - points[62, 1] for points in opened]
    assert (np.diff(gaps) > 0.01).all()


def test_teeth_show_only_in_an_open_smile():
    image, points = render(2, {12: 1.0})
    opened, wide = render(2, {12: 1.0, 25: 1.0})

    def brightest(picture, marks):
        x, (top, bottom) = marks[62, 0], marks[[62, 66], 1]
        row = round(top + 0.4 * (bottom - top))
        return picture[row, round(x) - 4 : round(x) + 5].astype(np.float64).mean()

    assert brightest(opened, wide) > brightest(image, points) + 30


# AU -> landmark pairs of its centre and the shift down in inner-eye distances (FG-Net's table; AU5 at the upper lids,
# AU20 at the lip corners)
CENTRES = {
    1: ((21, 22), 0),
    2: ((17, 26), 0),
    4: ((19, 24), 0),
    5: ((37, 44), 0),
    6: ((41, 46), 0.5),
    7: ((38, 43), 0),
    9: ((39, 42), 0),
    10: ((50, 52), 0),
    12: ((48, 54), 0),
    14: ((48, 54), 0),
    15: ((48, 54), 0),
    17: ((56, 58), 0.5),
    20: ((48, 54), 0),
    23: ((51, 57), 0),
    24: ((51, 57), 0),
    25: ((51, 57), 0),
    26: ((56, 58), 0),
}


@pytest.mark.parametrize("au", CENTRES)
def test_an_au_changes_pixels_near_its_centre_more_than_elsewhere(au):
    anchors, shift = CENTRES[au]
    for seed in (0, 7):
        off, points = render(seed)
        on, _ = render(seed, {au: 1.0})
        change = np.abs(on.astype(np.float64) - off).mean(axis=2)
        inner = float(np.linalg.norm(points[39] - points[42]))
        rows, columns = np.mgrid[:256, :256]
        face = cv2.fillConvexPoly(np.zeros((256, 256), np.uint8), cv2.convexHull(points).astype(np.int32), 1) > 0
        near = np.zeros((256, 256), bool)
        for anchor in anchors:
            x, y = points[anchor] + (0, shift * inner)
            near |= np.hypot(columns - x, rows - y) < 0.8 * inner
        assert change[near].mean() > 1.5 * change[face & ~near].mean()


def test_same_arguments_give_the_same_bytes_and_another_noise_seed_does_not():
    first, again, other = (render(4, {6: 0.7, 12: 0.7}, pose=(5, 2, 1), noise_seed=seed) for seed in (9, 9, 10))
    assert first[0].tobytes() == again[0].tobytes()
    assert first[1].tobytes() == again[1].tobytes()
    assert first[0].tobytes() != other[0].tobytes()
    assert first[1].tobytes() == other[1].tobytes()


def test_a_frame_does_not_depend_on_what_was_rendered_before():
    fresh = render(4, {1: 1.0})[0].tobytes()
    render(4, {26: 1.0}, pose=(20, 0, 0))
    render(7, {12: 1.0})
    warm = render(4, {1: 1.0})[0].tobytes()
    for cached in (neutral_landmarks, still_layers, backdrop, body, stage, back_hair):
        cached.cache_clear()
    assert fresh == warm == render(4, {1: 1.0})[0].tobytes()


def test_identities_differ_more_than_one_identity_in_two_frames():
    scene = sample_scene("bp4d", 0)
    faces = [render_face(sample_identity(seed), scene, {})[0].astype(np.float64) for seed in (0, 2, 4, 7)]
    same = render_face(sample_identity(0), scene, {}, noise_seed=1)[0].astype(np.float64)
    between = min(np.abs(faces[i] - faces[j]).mean() for i in range(4) for j in range(i))
    assert between > 3 * np.abs(faces[0] - same).mean()


def test_domains_differ_in_mean_colour():
    means = {}
    for domain in ("bp4d", "disfa"):
        means[domain] = np.mean([render(seed, domain=domain)[0].mean(axis=(0, 1)) for seed in (0, 2, 4, 7)], axis=0)
    assert means["bp4d"].mean() > means["disfa"].mean() + 30
    blueness = {domain: mean[2] - mean[0] for domain, mean in means.items()}
    assert blueness["disfa"] > blueness["bp4d"] + 15


def test_an_unknown_au_is_a_usage_error_that_names_it():
    with pytest.raises(UsageError, match=r"AU \[3, 99\].*expected AUs out of \[1, 2, 4"):
        render(0, {99: 1.0, 3: 0.2, 12: 1.0})


def test_a_warm_frame_costs_few_blurs():
    """A budget that holds on any machine: the CPU time of 60 Gaussian blurs of such a frame."""
    identity, scene = sample_identity(0), sample_scene("bp4d", 0)
    picture = render_face(identity, scene, {12: 1.0})[0].astype(np.float32)

    def cheapest(work):
        times = []
        for _ in range(5):
            start = time.process_time()
            work()
            times.append(time.process_time() - start)
        return min(times)

    frame = cheapest(lambda: render_face(identity, scene, {1: 0.5, 12: 0.8, 25: 1.0}, pose=(5, 0, 0)))
    blur = cheapest(lambda: cv2.GaussianBlur(picture, (0, 0), 3.0))
    assert frame < 60 * blur
