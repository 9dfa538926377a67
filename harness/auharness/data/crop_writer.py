"""One sequence from vendor files to crops: decode, find the face, align, write; and whether that is done already."""

import json
import os
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from itertools import groupby
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from auharness.data.align import align_face
from auharness.data.crops import BadFrame, CropSettings
from auharness.data.decode import DECODERS, read_image, scan_video_frames
from auharness.data.enhance import enhance
from auharness.data.haar_eyes import Pose, align_by_pose, find_pose, steady
from auharness.data.landmarks import central_box, make_source, place_mean_shape
from auharness.data.npy import NpyWriter, open_npy, sync_folder
from auharness.errors import DataError
from auharness.records import FrameRecord

__all__ = ["finished_crops", "write_crops"]

_SCHEMA = 1
_ARRAYS = {"images": ("uint8", 4), "landmarks": ("float32", 3), "valid": ("bool", 1), "frames": ("int32", 1)}
"""Element type and number of axes of each file."""

Image = npt.NDArray[np.uint8]


def _origins(records: Sequence[FrameRecord]) -> list[str]:
    """Return where pixels and points come from: video and frame offset, or folder of stills; landmark folder or file.

    Two cameras of one dataset share labels, and so the key; this keeps their crops apart.
    """
    origins = set()
    for record in records:
        media, points = record.media, record.landmarks
        if media.frame is None:
            origins.add(f"stills {Path(media.path).parent.as_posix()}")
        else:
            origins.add(f"video {media.path} {media.frame - record.frame:+d}")
        if points is not None:
            where = points.path if points.kind.startswith("npz") else Path(points.path).parent.as_posix()
            origins.add(f"{points.kind} {where} {points.frame - record.frame:+d}")
    return sorted(origins)


def _stamp(path: Path) -> list[int]:
    try:
        status = path.stat()
    except OSError:
        return []
    return [status.st_size, status.st_mtime_ns]


def finished_crops(place: Path, root: Path, records: Sequence[FrameRecord]) -> dict[str, Any] | None:
    """Return the description of a sequence that holds all wanted frames, or None where it must be made."""
    try:
        meta: dict[str, Any] = json.loads((place / "meta.json").read_text(encoding="utf-8"))
        arrays = {name: open_npy(place / f"{name}.npy") for name in _ARRAYS}
        found = {name: (str(array.dtype), array.ndim) for name, array in arrays.items()}
        if found != _ARRAYS or {len(array) for array in arrays.values()} != {meta["n"]}:
            return None
        known = {*arrays["frames"].tolist(), *(bad["frame"] for bad in meta["bad"])}
        if meta["schema_version"] != _SCHEMA or not known.issuperset(record.frame for record in records):
            return None
        if not set(meta["origins"]).issuperset(_origins(records)):
            return None
        stamps: dict[str, list[int]] = meta["stamps"]
        return meta if all(_stamp(root / path) == stamp for path, stamp in stamps.items()) else None
    except (OSError, ValueError, EOFError, KeyError, TypeError, AttributeError):
        return None  # damaged: made again


def write_crops(folder: Path, root: Path, records: Sequence[FrameRecord], settings: CropSettings) -> dict[str, Any]:
    """Write the crops of one sequence into an empty folder, flushed to disk, and return the content of `meta.json`.

    Args:
        folder: where to write.
        root: the dataset root.
        records: frames in ascending order; those that cannot be read are left out and listed.
        settings: how crops are made.
    """
    points, valid, frames, bad = [], [], [], []
    with NpyWriter(folder / "images.npy", (settings.size, settings.size, 3), np.uint8) as images:
        crops = _by_eyes if settings.method == "haar-eyes" else _by_landmarks
        for record, crop in crops(root, records, settings):
            if isinstance(crop, DataError):
                bad.append(BadFrame(record.frame, record.media.path, str(crop)))
                continue
            image, moved, found = crop
            images.append(enhance(image, settings.enhance))
            points.append(moved)
            valid.append(found)
            frames.append(record.frame)
    arrays = {
        "landmarks": np.array(points, dtype=np.float32).reshape(-1, 68, 2),
        "valid": np.array(valid, dtype=np.bool_),
        "frames": np.array(frames, dtype=np.int32),
    }
    for array, values in arrays.items():
        with NpyWriter(folder / f"{array}.npy", values.shape[1:], values.dtype) as writer:
            writer.append(values)
    meta = _meta(root, records, settings, n=len(frames), n_no_face=valid.count(False), bad=bad)
    with (folder / "meta.json").open("w", encoding="utf-8") as file:
        json.dump(meta, file, indent=1)
        file.flush()
        os.fsync(file.fileno())
    sync_folder(folder)
    return meta


Crop = tuple[Image, npt.NDArray[np.float32], bool]
"""Pixels, landmarks, and whether a face was found."""


def _by_landmarks(
    root: Path, records: Sequence[FrameRecord], settings: CropSettings
) -> Iterator[tuple[FrameRecord, Crop | DataError]]:
    source = make_source(settings.landmarks)
    for record, image in _decoded(root, records):
        try:
            if isinstance(image, DataError):
                raise image
            found = source(root, record, image)
            shape = place_mean_shape(central_box(*image.shape[:2])) if found is None else found
            crop, moved = align_face(image, shape, method=settings.method, size=settings.size)
        except DataError as error:
            yield record, error
            continue
        yield record, (crop, moved, found is not None)


def _by_eyes(
    root: Path, records: Sequence[FrameRecord], settings: CropSettings
) -> Iterator[tuple[FrameRecord, Crop | DataError]]:
    """Yield crops by the cascades; a frame has a face if they found it, whatever the landmark source says."""
    faults: list[tuple[FrameRecord, DataError]] = []
    for (record, image, points), pose, found in steady(_posed(root, records, settings, faults)):
        crop, moved = align_by_pose(image, points, pose, size=settings.size)
        yield record, (crop, moved, found)
    yield from faults


def _posed(
    root: Path, records: Sequence[FrameRecord], settings: CropSettings, faults: list[tuple[FrameRecord, DataError]]
) -> Iterator[tuple[tuple[FrameRecord, Image, npt.NDArray[np.float32] | None], Pose]]:
    """Yield the frames that can be read, with their points and pose; the others go to `faults`."""
    # the source `haar` is the mean shape in the same cascade's box
    source = make_source("mean-shape" if settings.landmarks == "haar" else settings.landmarks)
    for record, image in _decoded(root, records):
        try:
            if isinstance(image, DataError):
                raise image
            points = source(root, record, image)
        except DataError as error:
            faults.append((record, error))
            continue
        yield (record, image, points), find_pose(image)


def _meta(
    root: Path, records: Sequence[FrameRecord], settings: CropSettings, *, n: int, n_no_face: int, bad: list[BadFrame]
) -> dict[str, Any]:
    faulty = {item.frame for item in bad}
    # files of many frames are always watched; single pictures only if they were bad
    files = {r.media.path for r in records if r.media.frame is not None or r.frame in faulty}
    points = ((r.frame, r.landmarks) for r in records if r.landmarks is not None)
    files |= {file.path for frame, file in points if file.kind.startswith("npz") or frame in faulty}
    return {
        "schema_version": _SCHEMA,
        "n": n,
        "n_no_face": n_no_face,
        "method": settings.method,
        "size": settings.size,
        "landmarks": settings.landmarks,
        "enhance": list(settings.enhance),
        "decoders": DECODERS,
        "origins": _origins(records),
        "bad": [asdict(item) for item in bad],
        "stamps": {path: _stamp(root / path) for path in sorted(files)},
    }


def _decoded(root: Path, records: Sequence[FrameRecord]) -> Iterator[tuple[FrameRecord, Image | DataError]]:
    """Yield each record with its picture or with what is wrong; a video is opened once per run of its records."""
    for video, group in groupby(records, key=lambda record: None if record.media.frame is None else record.media.path):
        if video is None:
            for record in group:
                yield record, _still(root / record.media.path)
        else:
            rows = list(group)
            numbers = [record.media.frame or 0 for record in rows]
            # several rows may show one picture
            once = scan_video_frames(root / video, list(dict.fromkeys(numbers)))
            for (_, image), same in zip(once, groupby(rows, key=lambda record: record.media.frame), strict=True):
                for record in same[1]:
                    yield record, image


def _still(path: Path) -> Image | DataError:
    try:
        return read_image(path)
    except DataError as error:
        return error
