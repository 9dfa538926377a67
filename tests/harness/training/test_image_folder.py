import cv2
import numpy as np
import pytest
import torch

from auharness.errors import DataError
from auharness.training.image_folder import crop_batches, scan_folder


@pytest.fixture
def root(tmp_path):
    chance = np.random.default_rng(0)
    for name, count in (("b_dog", 3), ("a_cat", 4)):
        (tmp_path / name).mkdir()
        for index in range(count):
            picture = chance.integers(0, 256, (40, 30, 3), dtype=np.uint8)
            cv2.imwrite(str(tmp_path / name / f"{index}.png"), picture)
    (tmp_path / "empty").mkdir()
    (tmp_path / "readme.txt").write_text("no image")
    return tmp_path


def _epoch(folder, **changes):
    options = {"size": 16, "scale": 0.5, "jitter": 0.4, "batch_size": 3, "seed": 5, "workers": 0} | changes
    return list(crop_batches(folder, **options))


def test_classes_are_the_sorted_folders_with_images(root):
    folder = scan_folder(root)
    assert folder.classes == ("a_cat", "b_dog")
    assert folder.files[:1] + folder.files[-1:] == (("a_cat/0.png", 0), ("b_dog/2.png", 1))
    assert folder.describe() == f"{root.name} (7 images, 2 classes, sha256 {folder.digest[:16]})"
    assert folder.describe("ImageNet-1K").startswith("ImageNet-1K (7 images")


def test_the_digest_changes_with_names_and_sizes(root):
    before = scan_folder(root).digest
    assert scan_folder(root).digest == before
    (root / "a_cat" / "0.png").rename(root / "a_cat" / "9.png")
    assert scan_folder(root).digest != before


@pytest.mark.parametrize("place", ["a_cat", "absent"])
def test_a_folder_without_two_classes_is_refused(root, place):
    with pytest.raises(DataError, match="expected one folder per class with images"):
        scan_folder(root / place)


def test_an_epoch_holds_every_image_once_in_a_seeded_order(root):
    batches = _epoch(scan_folder(root))
    assert [len(images) for images, _ in batches] == [3, 3, 1]
    labels = torch.cat([labels for _, labels in batches])
    assert labels.bincount().tolist() == [4, 3]
    images = torch.cat([images for images, _ in batches])
    assert images.shape == (7, 3, 16, 16)
    assert 0 <= images.min() < images.max() <= 1
    again = torch.cat([images for images, _ in _epoch(scan_folder(root))])
    other = torch.cat([images for images, _ in _epoch(scan_folder(root), seed=6)])
    assert torch.equal(images, again)
    assert not torch.equal(images, other)


def test_worker_processes_change_no_pixel(root):
    alone, shared = (_epoch(scan_folder(root), workers=workers) for workers in (0, 2))
    assert all(torch.equal(a, b) for pair in zip(alone, shared, strict=True) for a, b in zip(*pair, strict=True))


def test_without_variation_a_crop_is_the_resized_image(tmp_path):
    for name, value in (("dark", 40), ("light", 200)):
        (tmp_path / name).mkdir()
        cv2.imwrite(str(tmp_path / name / "x.png"), np.full((24, 24, 3), value, np.uint8))
    for images, labels in _epoch(scan_folder(tmp_path), jitter=0.0, batch_size=1):
        expected = torch.full((1, 3, 16, 16), (40, 200)[labels.item()] / 255)
        torch.testing.assert_close(images, expected)


@pytest.mark.parametrize("workers", [0, 1])
def test_a_broken_image_is_one_line_with_its_path(root, workers):
    (root / "b_dog" / "1.png").write_bytes(b"")
    with pytest.raises(DataError, match=r"1\.png") as caught:
        _epoch(scan_folder(root), workers=workers)
    assert "\n" not in str(caught.value)
