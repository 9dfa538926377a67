"""Class-labelled still images in one folder per class, as ImageNet is delivered; every sample has its own seed."""

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from auharness.data.decode import read_image
from auharness.errors import DataError
from auharness.training.seed import derive_seed, generator

__all__ = ["ImageFolder", "crop_batches", "scan_folder"]

SUFFIXES = {".jpg", ".jpeg", ".png", ".bmp", ".webp"}
Item = tuple[Tensor, int] | DataError


@dataclass(frozen=True, slots=True)
class ImageFolder:
    """What is in a folder of classes.

    Attributes:
        root: the folder.
        classes: names of the sub-folders, sorted.
        files: (path below the root, class index), sorted by class and path.
        digest: sha256 over the relative paths and sizes, hex; contents are not read.
    """

    root: Path
    classes: tuple[str, ...]
    files: tuple[tuple[str, int], ...]
    digest: str

    def describe(self, name: str = "") -> str:
        """Return one line for the record: name, size and digest.

        Args:
            name: what the data is called; default the folder's name, or its parent's for a folder `train`.
        """
        folder = self.root.resolve()
        called = name or (folder.parent.name if folder.name == "train" else folder.name)
        return f"{called} ({len(self.files)} images, {len(self.classes)} classes, sha256 {self.digest[:16]})"


def scan_folder(root: Path) -> ImageFolder:
    """List the images of `root/CLASS/**`.

    Raises:
        DataError: if there are fewer than two classes with images.
    """
    folders = [path for path in sorted(root.iterdir()) if path.is_dir()] if root.is_dir() else []
    found = {folder.name: [p for p in sorted(folder.rglob("*")) if p.suffix.lower() in SUFFIXES] for folder in folders}
    classes = tuple(name for name, files in found.items() if files)
    if len(classes) < 2:
        raise DataError(
            f"{root}: expected one folder per class with images ({', '.join(sorted(SUFFIXES))}), "
            f"got {len(classes)} such folders; give the folder that holds the class folders"
        )
    digest = hashlib.sha256()
    files = []
    for index, name in enumerate(classes):
        for path in found[name]:
            relative = path.relative_to(root).as_posix()
            digest.update(f"{relative}\0{path.stat().st_size}\n".encode())
            files.append((relative, index))
    return ImageFolder(root, classes, tuple(files), digest.hexdigest())


class _Crops(Dataset[Item]):
    """Random resized crops, mirrored and jittered: `[3,S,S]` in [0, 1], a function of the seed and the index."""

    def __init__(self, folder: ImageFolder, *, size: int, scale: float, jitter: float, seed: int) -> None:
        self.folder, self.size, self.scale, self.jitter, self.seed = folder, size, scale, jitter, seed

    def __len__(self) -> int:
        return len(self.folder.files)

    def __getitem__(self, index: int) -> Item:
        path, label = self.folder.files[index]
        # an exception would leave a worker with a traceback in its message
        try:
            image = read_image(self.folder.root / path)
        except DataError as error:
            return error
        chance = np.random.default_rng(derive_seed(self.seed, "image", index))
        crop = _random_resized_crop(image, self.size, self.scale, chance)
        if chance.random() < 0.5:
            crop = crop[:, ::-1]
        pixels = torch.from_numpy(np.ascontiguousarray(crop)).permute(2, 0, 1).float() / 255
        return _jitter(pixels, 1 + self.jitter * (2 * chance.random(3) - 1)), label


def crop_batches(
    folder: ImageFolder, *, size: int, scale: float, jitter: float, batch_size: int, seed: int, workers: int
) -> Iterator[tuple[Tensor, Tensor]]:
    """Yield one epoch of shuffled batches, images `[B,3,S,S]` in [0, 1] and labels `[B]`.

    The number of workers changes nothing.

    Args:
        folder: what to read.
        size: S in pixels.
        scale: smallest share of the image's area in a crop.
        jitter: brightness, contrast and saturation are drawn from 1 +- this.
        batch_size: B.
        seed: of this epoch.
        workers: reading processes; 0 reads in this one.

    Raises:
        DataError: if an image cannot be decoded.
    """
    crops = _Crops(folder, size=size, scale=scale, jitter=jitter, seed=seed)
    order = torch.randperm(len(crops), generator=generator(seed, "order")).tolist()
    loader = DataLoader(
        crops,
        batch_size=batch_size,
        sampler=order,
        num_workers=workers,
        collate_fn=list,
        worker_init_fn=_use_one_thread,
        generator=generator(seed),
    )
    for items in loader:
        images, labels = zip(*(_checked(item) for item in items), strict=True)
        yield torch.stack(images), torch.tensor(labels)


def _use_one_thread(worker: int) -> None:
    cv2.setNumThreads(1)


def _checked(item: Item) -> tuple[Tensor, int]:
    if isinstance(item, DataError):
        raise item
    return item


def _random_resized_crop(image: np.ndarray, size: int, scale: float, chance: np.random.Generator) -> np.ndarray:
    """Cut a random area and aspect ratio (3/4 to 4/3) and resize it; the centre square after ten failed draws."""
    height, width = image.shape[:2]
    for _ in range(10):
        area = height * width * chance.uniform(scale, 1.0)
        aspect = np.exp(chance.uniform(np.log(3 / 4), np.log(4 / 3)))
        w, h = round((area * aspect) ** 0.5), round((area / aspect) ** 0.5)
        if 0 < w <= width and 0 < h <= height:
            break
    else:
        w = h = min(height, width)
    y, x = int(chance.integers(0, height - h + 1)), int(chance.integers(0, width - w + 1))
    how = cv2.INTER_AREA if w > size else cv2.INTER_CUBIC
    return np.asarray(cv2.resize(image[y : y + h, x : x + w], (size, size), interpolation=how))


def _jitter(pixels: Tensor, factors: np.ndarray) -> Tensor:
    brightness, contrast, saturation = (float(factor) for factor in factors)
    pixels = (pixels * brightness).clamp(0, 1)
    pixels = torch.lerp(pixels.mean(), pixels, contrast).clamp(0, 1)
    return torch.lerp(pixels.mean(dim=0, keepdim=True), pixels, saturation).clamp(0, 1)
