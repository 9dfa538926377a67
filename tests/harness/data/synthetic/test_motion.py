import numpy as np

from auharness.data.synthetic.motion import activation_curves, distractor_curves, head_pose, named_seed, smooth_noise


def labels(length: int, *runs: tuple[int, int]) -> np.ndarray:
    occurrence = np.zeros((length, 1), dtype=bool)
    for start, stop in runs:
        occurrence[start:stop] = True
    return occurrence


def test_present_and_absent_frames_never_share_an_intensity() -> None:
    rng = np.random.default_rng(0)
    occurrence = smooth_noise(rng, 3000, channels=4, width=12) > 0.5
    curves = activation_curves(occurrence, fps=25, rng=rng)
    assert curves[occurrence].min() >= 0.3 and curves[occurrence].max() <= 1
    assert curves[~occurrence].max() < 0.25 and curves[~occurrence].min() >= 0


def test_absent_frames_move_without_being_labelled() -> None:
    curves = activation_curves(labels(2000), fps=25, rng=np.random.default_rng(1))
    assert 0.1 < (curves > 0.03).mean() < 0.9


def test_an_activation_rises_to_its_apex_and_falls() -> None:
    curve = activation_curves(labels(200, (60, 140)), fps=25, rng=np.random.default_rng(2))[:, 0]
    onset, apex, offset = curve[60:64].mean(), curve[90:110].mean(), curve[136:140].mean()
    assert apex > onset + 0.1 and apex > offset + 0.1


def test_activations_differ_in_strength() -> None:
    occurrence = labels(6000, *((start, start + 60) for start in range(20, 5900, 100)))
    curve = activation_curves(occurrence, fps=25, rng=np.random.default_rng(3))[:, 0]
    apexes = curve[50:5900:100]
    assert apexes.std() > 0.08


def test_a_sequence_that_begins_inside_an_activation_shows_no_onset() -> None:
    curve = activation_curves(labels(100, (0, 80)), fps=25, rng=np.random.default_rng(4))[:, 0]
    assert abs(curve[:3].mean() - curve[30:40].mean()) < 0.05


def test_distractors_show_about_as_often_as_asked() -> None:
    rates = np.array([0.05, 0.3])
    shown = [distractor_curves(rates, 400, fps=25, rng=np.random.default_rng(seed)) >= 0.3 for seed in range(300)]
    np.testing.assert_allclose(np.concatenate(shown).mean(axis=0), rates, rtol=0.25)


def test_smooth_noise_has_unit_variance_at_every_width() -> None:
    for width in (2.0, 8.0):
        noise = smooth_noise(np.random.default_rng(0), 40_000, channels=3, width=width)
        np.testing.assert_allclose(noise.std(axis=0), 1, atol=0.06)


def test_pose_spreads_as_asked_and_trembles_in_every_frame() -> None:
    spread = (8.0, 4.0, 3.0)
    poses = [head_pose(np.random.default_rng(seed), 100, fps=25, spread=spread) for seed in range(300)]
    np.testing.assert_allclose(np.concatenate(poses).std(axis=0), spread, rtol=0.12)
    assert (np.diff(poses[0], axis=0) != 0).all()


def test_seeds_depend_on_every_name() -> None:
    seeds = {named_seed(0, "a", "b"), named_seed(0, "b", "a"), named_seed(1, "a", "b"), named_seed(0, "a")}
    assert len(seeds) == 4
