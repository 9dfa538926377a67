"""The crop cache: aligned faces of whole sequences, made once, opened as memory maps, safe against any interruption.

```
FOLDER/F001/T1.crops/images.npy      uint8 [n, size, size, 3], RGB
                     landmarks.npy   float32 [n, 68, 2], crop pixels
                     valid.npy       bool [n], False where no face was found
                     frames.npy      int32 [n], ascending frame numbers of the label file
                     meta.json       what was asked, what is missing and why
```

A sequence is written into a hidden folder beside its place, flushed to disk, and renamed: it is whole or absent.
Frames that cannot be read are left out and listed in `meta.json`; whether that is an error is for the caller to say.
A sequence is made again when a bad file, its video or its landmark file has changed since.
"""

import errno
import os
import re
import shutil
import socket
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path

import numpy as np
import psutil

from auharness.data.cache_root import crop_folder
from auharness.data.crop_writer import finished_crops, write_crops
from auharness.data.crops import BadFrame, Crops, CropSettings, SequenceReport
from auharness.data.decode import DECODERS
from auharness.data.landmarks import source_version
from auharness.data.npy import open_npy, sync_folder
from auharness.errors import DataError
from auharness.records import FrameRecord
from auharness.results.atomic import digest, write_point

__all__ = ["BadFrame", "CropCache", "CropSettings", "Crops", "SequenceReport", "cache_folder", "cache_key"]

# raised by any change that makes other crops from the same files and settings
_RECIPE = 1
_SUFFIX = ".crops"


def cache_key(settings: CropSettings, source_digest: str) -> str:
    """Return the name of the cache folder: 16 hex digits of all that decides what a crop looks like.

    `on_bad_frame` is left out: it decides what is accepted, not what is written.

    Args:
        settings: how crops are made.
        source_digest: digest of what the crops are made from.

    Raises:
        DataError: if the landmark source needs a folder or a package that is missing.
    """
    parts = {"method": settings.method, "size": settings.size, "landmarks": source_version(settings.landmarks)}
    if settings.enhance:
        # absent otherwise, so that crops without it keep the key that they always had
        parts["enhance"] = ",".join(settings.enhance)
    return digest({**parts, "decoders": DECODERS, "recipe": _RECIPE, "source": source_digest}, 16)


def cache_folder(dataset: str, root: Path, settings: CropSettings, *, manifest: str) -> Path:
    """Return where the crops of a dataset's root lie; copies of the same data at other places keep crops of their own.

    Args:
        dataset: name of the dataset.
        root: its root, whose files the crops watch for changes.
        settings: how crops are made.
        manifest: the dataset's manifest.

    Raises:
        DataError: if the landmark source needs a folder or a package that is missing.
    """
    return crop_folder(dataset, cache_key(settings, digest([manifest, str(root.resolve())])))


class CropCache:
    """The sequences under one key.

    Args:
        folder: the cache folder; made when the first sequence is written.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def prepare_sequence(
        self, root: Path, name: str, records: Sequence[FrameRecord], settings: CropSettings
    ) -> SequenceReport:
        """Make the crops of one sequence, or report at once if they are there.

        Frames that cannot be read are left out and reported, whatever `settings.on_bad_frame` says: the caller
        decides, so that one run lists all of them.

        Raises:
            DataError: if the landmark source is missing, all vendor landmark files of the sequence are missing, a
                frame occurs twice, or the disk is full.
            UsageError: if the landmark source is unknown.
        """
        cached = self.cached_report(root, name, records)
        if cached is not None:
            return cached
        place = self._place(name)
        wanted = sorted(records, key=lambda record: record.frame)
        _check(root, name, wanted, settings)
        place.parent.mkdir(parents=True, exist_ok=True)
        self.remove_leftovers(name)
        partial_folder = place.with_name(f"{_partial(place)}{os.getpid()}")
        partial_folder.mkdir()
        write_point("crops:begin")
        try:
            meta = write_crops(partial_folder, root, wanted, settings)
            write_point("crops:written")
            _put_in_place(partial_folder, place, root, wanted)
        except OSError as error:
            if error.errno not in (errno.ENOSPC, errno.EDQUOT):
                raise
            raise DataError(f"{place}: disk full; free some space or set AUHARNESS_CACHE to another disk") from None
        finally:
            shutil.rmtree(partial_folder, ignore_errors=True)
        write_point("crops:renamed")
        return SequenceReport(name, meta["n"], meta["n_no_face"], tuple(BadFrame(**bad) for bad in meta["bad"]))

    def cached_report(self, root: Path, name: str, records: Sequence[FrameRecord]) -> SequenceReport | None:
        """Return the report on these records if their crops are there, or None if some must be made.

        The sequence may hold more frames than are asked for; only those asked for are counted.
        """
        place = self._place(name)
        meta = finished_crops(place, root, records)
        if meta is None:
            return None
        wanted = np.array([record.frame for record in records], dtype=np.int32)
        held = np.isin(np.load(place / "frames.npy"), wanted)
        no_face = ~np.load(place / "valid.npy")[held]
        bad = tuple(BadFrame(**bad) for bad in meta["bad"] if bad["frame"] in wanted)
        return SequenceReport(name, int(held.sum()), int(no_face.sum()), bad, cached=True)

    def remove_leftovers(self, name: str) -> None:
        """Delete what killed processes of this machine left of a sequence; living ones keep theirs."""
        place = self._place(name)
        prefix = _partial(place)
        for leftover in place.parent.glob(f"{prefix}*"):
            process = leftover.name.removeprefix(prefix).partition(".")[0]
            if process.isdigit() and (int(process) == os.getpid() or not psutil.pid_exists(int(process))):
                shutil.rmtree(leftover, ignore_errors=True)

    def sequence(self, name: str) -> Crops:
        """Open the crops of one sequence.

        Raises:
            DataError: if the sequence has not been prepared.
        """
        place = self._place(name)
        if not (place / "meta.json").is_file():
            raise DataError(f"{place}: expected the crops of sequence {name}, got none; run `auharness data prepare`")
        images, landmarks, valid, frames = (
            open_npy(place / f"{array}.npy") for array in ("images", "landmarks", "valid", "frames")
        )
        return Crops(images, landmarks, valid, np.array(frames))

    def _place(self, name: str) -> Path:
        parts = name.split("/")
        if any(not part or part.startswith(".") or "\\" in part for part in parts):
            raise DataError(f"sequence {name!r}: expected a name of folders that do not start with a dot")
        # the suffix keeps a sequence `S1` apart from the folder of sequences `S1/...`
        return self.folder.joinpath(*parts[:-1], parts[-1] + _SUFFIX)


def _partial(place: Path) -> str:
    """Return how unfinished folders of a sequence are called on this machine; long and odd names by their digest."""
    plain = re.fullmatch(r"[\w.-]{1,100}", place.name, re.ASCII)
    return f".{place.name if plain else digest(place.name, 16)}.{socket.gethostname()}."


def _check(root: Path, name: str, records: Sequence[FrameRecord], settings: CropSettings) -> None:
    for before, after in pairwise(records):
        if before.frame == after.frame:
            raise DataError(f"sequence {name}: frame {after.frame} occurs twice")
    if settings.landmarks != "vendor":
        return
    files = {record.landmarks.path for record in records if record.landmarks is not None}
    if files and not any((root / path).is_file() for path in files):
        raise DataError(
            f"sequence {name}: expected landmark files such as {root / min(files)}, got none of {len(files)}"
        )


def _put_in_place(partial_folder: Path, place: Path, root: Path, records: Sequence[FrameRecord]) -> None:
    if place.exists() and finished_crops(place, root, records) is None:
        old = partial_folder.with_name(f"{partial_folder.name}.old")
        place.rename(old)
        shutil.rmtree(old, ignore_errors=True)
    try:
        partial_folder.rename(place)
    except OSError:
        # another process was faster; its crops are the same
        if finished_crops(place, root, records) is None:
            raise
    sync_folder(place.parent)
