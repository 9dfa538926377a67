import cv2
import numpy as np
import pytest
from scipy.ndimage import gaussian_filter
from skimage import data

from auharness.data.cache import CropCache, cache_key
from auharness.data.crops import CropSettings
from auharness.data.decode import read_image
from auharness.data.enhance import clahe, enhance
from auharness.errors import UsageError
from auharness.records import FrameRecord, Media


@pytest.fixture(scope="module")
def face() -> np.ndarray:
    return cv2.resize(data.astronaut()[:220, 120:340], (96, 96), interpolation=cv2.INTER_AREA)


def test_unsharp_adds_half_of_what_a_blur_of_one_pixel_takes(face):
    blurred = np.stack([gaussian_filter(face[..., c].astype(float), 1.0, mode="mirror") for c in range(3)], -1)
    expected = (1.5 * face - 0.5 * blurred).round().clip(0, 255)
    assert np.abs(enhance(face, ("unsharp",)).astype(int) - expected)[4:-4, 4:-4].max() <= 2


def test_local_contrast_changes_lightness_and_not_colour(face):
    dark = (face * 0.3).astype(np.uint8)
    before, after = (cv2.cvtColor(image, cv2.COLOR_RGB2LAB).astype(int) for image in (dark, clahe(dark)))
    assert after[..., 0].std() > 1.3 * before[..., 0].std()
    assert np.abs(after[..., 1:] - before[..., 1:]).mean() < 2


def test_a_larger_limit_gives_more_contrast(face):
    flat = cv2.resize((80 + face * 0.2).astype(np.uint8), (256, 256))
    spread = [clahe(flat, limit=limit).astype(float).std() for limit in (1.0, 2.0, 4.0)]
    assert spread == sorted(spread) and spread[2] > 1.2 * spread[0]


def test_the_bilateral_filter_takes_noise_and_keeps_edges():
    step = np.full((64, 64, 3), 60, np.uint8)
    step[:, 32:] = 200
    noisy = (step + np.random.default_rng(0).normal(0, 8, step.shape)).clip(0, 255).astype(np.uint8)
    made = enhance(noisy, ("bilateral",)).astype(float)
    assert made[4:-4, 4:24].std() < 0.6 * noisy[4:-4, 4:24].astype(float).std()
    assert made[:, 33].mean() - made[:, 30].mean() > 120


def test_steps_are_done_from_left_to_right(face):
    there = enhance(face, ("clahe", "unsharp"))
    assert (there == enhance(enhance(face, ("clahe",)), ("unsharp",))).all()
    assert (there != enhance(face, ("unsharp", "clahe"))).any()
    assert enhance(face, ()) is face


def test_crops_are_enhanced_before_they_are_cached(face, tmp_path):
    cv2.imwrite(str(tmp_path / "1.png"), face[..., ::-1])
    record = FrameRecord("bp4d", "F001", "F001/T1", 1, Media("1.png"), {})
    settings = CropSettings("none", 96, "mean-shape", enhance=("clahe", "bilateral", "unsharp"))
    cache = CropCache(tmp_path / "cache")
    cache.prepare_sequence(tmp_path, "F001/T1", [record], settings)
    held = cache.sequence("F001/T1").images[0]
    assert (held == enhance(read_image(tmp_path / "1.png"), settings.enhance)).all()
    assert (held != face).any()


def test_every_enhancement_has_its_own_cache():
    keys = {
        cache_key(CropSettings(landmarks="mean-shape", enhance=steps), "x")
        for steps in ((), ("clahe",), ("clahe", "unsharp"), ("unsharp", "clahe"))
    }
    assert len(keys) == 4


def test_an_unknown_step_is_one_clear_line():
    with pytest.raises(UsageError, match="enhancement 'clahee': expected one of clahe, bilateral, unsharp; did you"):
        CropSettings(enhance=("clahee",))
