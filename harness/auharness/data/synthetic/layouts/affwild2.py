"""Aff-Wild2's vendor layout: label files per video, crops by number, films with sound, and the list of test frames.

```
AU_Detection_Challenge/Train_Set/1-30-272x128_left.txt   header AU1,...,AU26, one row per frame; -1 is not coded
AU_Detection_Challenge/Validation_Set/
cropped_aligned/1-30-272x128_left/00001.jpg              112 x 112; numbers have gaps where no face was found
cropped_aligned_new_50_vids/                             the crops of some other videos
videos/1-30-272x128.mp4 (or .avi)                        one film for the people in it; the sound track may be missing
CVPR_6th_ABAW_AU_test_set_example.txt                    header image_location,AU1,...; every frame to be answered
landmarks/1-30-272x128_left.npz                          frame int32 [n], points float32 [n,68,2], valid bool [n]
```

Rows, crops and pictures of a video differ in number, as the vendor's do: some label files go on behind the film, others
end before. The vendor delivers no landmarks; the npz is the form in which a licence holder caches them, without a face
where it is too dark or out of focus. A film is what other layouts call a subject. Size `full` has the published number
of videos and coded rows, and the published rate of every AU.
"""

import io
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from auharness.data.synthetic.film_file import TICK, write_film
from auharness.data.synthetic.layouts import write_file
from auharness.data.synthetic.motion import named_rng
from auharness.data.synthetic.raster import Byte
from auharness.data.synthetic.sound import Utterance, resampled, soundtrack
from auharness.data.synthetic.talks import AUS, Film, Part, draw_acts, draw_films, draw_labels
from auharness.data.synthetic.wild_film import Shot, film_person

__all__ = ["SIZES", "WildSize", "sizes", "subjects", "ticks", "write_shared", "write_subject"]

_DATASET = "affwild2"
_HEADER = ",".join(f"AU{au}" for au in AUS)
_FOLDERS = {"train": "Train_Set", "validation": "Validation_Set"}
_JPEG_QUALITY = 92
_DOWN, _ACROSS = 8, 16  # pixels of the film above and beside a face
_WALL = (96, 104, 112)


@dataclass(frozen=True)
class WildSize:
    """How much of the vendor's data a stand-in holds.

    Attributes:
        parts: videos and coded rows of each part.
        vendor_lengths: whether films differ in length as much as the vendor's.
        pixels: side of the crops.
    """

    parts: Mapping[str, Part] = field(default_factory=dict)
    vendor_lengths: bool = False
    pixels: int = 112


SIZES: Mapping[str, WildSize] = {
    "tiny": WildSize({"train": Part(4, 240), "validation": Part(2, 120), "test": Part(1, 40)}),
    "small": WildSize({"train": Part(16, 4800), "validation": Part(8, 2400), "test": Part(2, 300)}),
    "full": WildSize(
        {"train": Part(295, 1_359_523), "validation": Part(105, 445_845), "test": Part(141, 729_736)},
        vendor_lengths=True,
    ),
}


def sizes() -> Mapping[str, WildSize]:
    """Return the settings of every size by name."""
    return SIZES


def subjects(*, size: str) -> tuple[str, ...]:
    """Return the names of the films of this size, sorted."""
    return tuple(sorted(_films(size)))


def ticks(film: Film, *, seed: int) -> NDArray[np.int64]:
    """Return when each picture is shown, in ticks; where the rate varies, the first one follows the sound."""
    if not film.varying:
        return np.arange(film.pictures) * int(TICK / film.rate)
    rng = named_rng(seed, _DATASET, film.name, "clock")
    gaps = rng.integers(800, 1600, film.pictures)
    # now and then a picture stays
    gaps[rng.uniform(size=film.pictures) < 0.03] *= 4
    # the container keeps the first one in thousandths of a second
    gaps[0] -= gaps[0] % (TICK // 1000)
    return np.cumsum(gaps)


def write_subject(root: Path, subject: str, *, size: str, seed: int) -> dict[str, int]:
    """Write a film, and crops, landmarks and labels of the people in it.

    Returns:
        Videos as sequences, their coded rows as frames, and positives per AU in them.
    """
    film = _films(size)[subject]
    shots = [_Person(root, film, video, size, seed) for video in film.videos]
    side = SIZES[size].pixels
    write_film(
        root / "videos" / f"{film.name}{film.ending}",
        _pictures(shots),
        ticks(film, seed=seed).tolist(),
        rate=film.rate,
        size=(side + 2 * _DOWN, (side + _ACROSS) * len(shots) + _ACROSS),
        sound=_sound(film, seed=seed),
        sound_rate=film.sound,
    )
    totals = {"sequences": len(shots), "frames": 0} | {f"AU{au}": 0 for au in AUS}
    for person in shots:
        coded = person.write_labels()
        totals["frames"] += len(coded)
        for au, positives in zip(AUS, coded.sum(axis=0).tolist(), strict=True):
            totals[f"AU{au}"] += positives
    return totals


def write_shared(root: Path, subjects: Sequence[str], *, size: str, seed: int) -> None:
    """Write the list of test frames, where there are any; the labels in it mean nothing."""
    films = [_films(size)[name] for name in subjects]
    listed = [(video, film.rows) for film in films if film.part == "test" for video in film.videos]
    if listed:
        filling = ",0" * len(AUS)
        rows = [f"{video}/{number:05d}.jpg{filling}\n" for video, count in listed for number in range(1, count + 1)]
        content = f"image_location,{_HEADER}\n{''.join(rows)}"
        write_file(root / "CVPR_6th_ABAW_AU_test_set_example.txt", content.encode())


@lru_cache(maxsize=4)
def _films(size: str) -> dict[str, Film]:
    return draw_films(SIZES[size].parts, vendor_lengths=SIZES[size].vendor_lengths)


@lru_cache(maxsize=2)
def _labels(size: str, part: str, seed: int) -> dict[str, NDArray[np.bool_]]:
    """Return video -> bool [max(rows, pictures), AU]."""
    films = [film for film in _films(size).values() if film.part == part]
    times = {film.name: _moments(film, seed) for film in films}
    return draw_labels(films, times, seed=seed)


def _moments(film: Film, seed: int) -> NDArray[np.float64]:
    """Return the time of each row and picture in seconds; rows behind the film go on at its pace."""
    known = ticks(film, seed=seed) / TICK
    behind = np.arange(1, max(0, film.rows - film.pictures) + 1) / float(film.rate)
    return np.concatenate([known, known[-1] + behind])


def _end(film: Film, seed: int) -> float:
    """Return until when its people act, in seconds."""
    return float(_moments(film, seed)[-1] + 1 / film.rate)


class _Person:
    """The files of one person in a film."""

    def __init__(self, root: Path, film: Film, video: str, size: str, seed: int) -> None:
        self.root, self.film, self.video = root, film, video
        self.pixels, self.seed = SIZES[size].pixels, seed
        self.labels = _labels(size, film.part, seed)[video]
        rng = named_rng(seed, _DATASET, video, "gaps")
        # two stretches without a crop, the second of which is coded nevertheless, and the first row now and then
        length = max(2, film.pictures // 60)
        starts = rng.integers(1, film.pictures - length, 2).tolist()
        self.missing = {start + step for start in starts for step in range(length)}
        self.not_coded = _not_coded(film, starts[0])

    def shots(self) -> Iterator[Shot]:
        """Yield the pictures and write them and their landmarks."""
        above = "cropped_aligned_new_50_vids" if self.film.new else "cropped_aligned"
        labels = self.labels[: self.film.pictures]
        points, seen, numbers = [], [], []
        shots = film_person(self.video, labels, rate=float(self.film.rate), pixels=self.pixels, seed=self.seed)
        for number, shot in enumerate(shots, start=1):
            if number - 1 not in self.missing:
                _, encoded = cv2.imencode(".jpg", shot.crop[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, _JPEG_QUALITY])
                write_file(self.root / above / self.video / f"{number:05d}.jpg", encoded.tobytes())
                points.append(shot.landmarks)
                seen.append(shot.seen)
                numbers.append(number)
            yield shot
        buffer = io.BytesIO()
        np.savez(buffer, frame=np.array(numbers, np.int32), points=np.stack(points), valid=np.array(seen, np.bool_))
        write_file(self.root / "landmarks" / f"{self.video}.npz", buffer.getvalue())

    def write_labels(self) -> NDArray[np.bool_]:
        """Write the label file, but for a test video, and return the rows that it codes."""
        labels = self.labels[: self.film.rows]
        if self.film.part == "test":
            return labels
        codes = labels.astype(int)
        codes[self.not_coded] = -1
        rows = [",".join(map(str, row)) for row in codes.tolist()]
        path = self.root / "AU_Detection_Challenge" / _FOLDERS[self.film.part] / f"{self.video}.txt"
        write_file(path, ("\n".join([_HEADER, *rows]) + "\n").encode("ascii"))
        return np.delete(labels, self.not_coded, axis=0)


def _not_coded(film: Film, start: int) -> NDArray[np.int64]:
    """Return the places of the rows that are not coded: one stretch that begins where crops are missing."""
    count = film.rows - film.coded
    return np.arange(count) + min(start, film.rows - count)


def _pictures(people: Sequence[_Person]) -> Iterator[Byte]:
    """Yield the pictures of a film: everyone beside each other before a wall."""
    for shots in zip(*(person.shots() for person in people), strict=True):
        side = len(shots[0].crop)
        picture = np.empty((side + 2 * _DOWN, (side + _ACROSS) * len(shots) + _ACROSS, 3), np.uint8)
        picture[:] = _WALL
        for number, shot in enumerate(shots):
            left = _ACROSS + number * (side + _ACROSS)
            picture[_DOWN : _DOWN + side, left : left + side] = shot.crop
        yield picture


def _sound(film: Film, *, seed: int) -> NDArray[np.float32] | None:
    """Return what is heard in a film, everyone in it together; None for a silent one."""
    if not film.sound:
        return None
    said = []
    for video, person in zip(film.videos, film.people, strict=True):
        pitch = float(named_rng(seed, _DATASET, video, "voice").uniform(95, 230))
        acts = draw_acts(film, person, seconds=_end(film, seed), seed=seed)
        said += [Utterance(act.kind, act.start, act.stop, pitch) for act in acts if act.kind != "quiet"]
    seconds = float(ticks(film, seed=seed)[-1] / TICK + 1 / film.rate)
    return resampled(soundtrack(said, seconds, rng=named_rng(seed, _DATASET, film.name, "sound")), film.sound)
