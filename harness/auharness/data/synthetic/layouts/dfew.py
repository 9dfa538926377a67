"""DFEW's vendor layout: lists of clips by fold and part, and a folder of face frames per clip.

```
EmoLabel_DataSplit/train(single-labeled)/set_1.csv    video_name,label; the number without zeros, classes from 1
EmoLabel_DataSplit/test(single-labeled)/set_1.csv
Clip/clip_224x224/00005/00001.jpg                     224 x 224, the face fills the frame
```

A clip is what other layouts call a subject, as the vendor names nobody. Size `full` has the published number of clips
of every class in every fold; who shows what and how is ours.
"""

from collections.abc import Mapping, Sequence
from functools import lru_cache
from pathlib import Path

import cv2

from auharness.data.synthetic.emotion_film import film_emotion
from auharness.data.synthetic.emotions import Emotion, EmotionClip, EmotionSize, draw_emotion_clips
from auharness.data.synthetic.layouts import write_file

__all__ = ["EMOTIONS", "SIZES", "sizes", "subjects", "write_shared", "write_subject"]

EMOTIONS = (
    Emotion("Happy", 2445, (6, 12), (25,)),
    Emotion("Sad", 1894, (1, 4, 15), (17,)),
    Emotion("Neutral", 2669),
    Emotion("Angry", 2173, (4, 5, 7, 23), (24, 17)),
    Emotion("Surprise", 1469, (1, 2, 5, 26), (25,)),
    Emotion("Disgust", 145, (9, 15), (10, 17)),
    Emotion("Fear", 902, (1, 2, 4, 5, 20, 26), (25,)),
)
"""Classes in the vendor's order, the number of clips of each, and the AUs that show it."""

SIZES: Mapping[str, EmotionSize] = {
    "tiny": EmotionSize(96, clips=40, squeeze=0.03, longest=40),
    "small": EmotionSize(224, clips=400, squeeze=0.1),
    "full": EmotionSize(224),
}

FOLDS = range(1, 6)
IDS = 16372
"""Clips that the vendor hands out; those in the lists are some of them."""
_JPEG_QUALITY = 90


def sizes() -> Mapping[str, EmotionSize]:
    """Return the settings of every size by name."""
    return SIZES


def subjects(*, size: str) -> tuple[str, ...]:
    """Return the names of the clips of this size, sorted."""
    return tuple(_clips(size, 0))


def write_subject(root: Path, subject: str, *, size: str, seed: int) -> dict[str, int]:
    """Write the frames of one clip and return sequences, frames and clips per class."""
    clip = _clips(size, seed)[subject]
    emotion = EMOTIONS[clip.label]
    folder = root / "Clip" / "clip_224x224" / clip.name
    frames = film_emotion(clip, emotion, pixels=SIZES[size].pixels, seed=seed)
    for number, image in enumerate(frames, start=1):
        _, encoded = cv2.imencode(".jpg", image[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, _JPEG_QUALITY])
        write_file(folder / f"{number:05d}.jpg", encoded.tobytes())
    totals = {"sequences": 1, "frames": clip.frames} | {emotion.name: 0 for emotion in EMOTIONS}
    return totals | {emotion.name: 1}


def write_shared(root: Path, subjects: Sequence[str], *, size: str, seed: int) -> None:
    """Write the lists with these clips; one that would be empty is left out."""
    clips = [_clips(size, seed)[name] for name in subjects]
    for fold in FOLDS:
        for part in ("train", "test"):
            listed = [clip for clip in clips if (clip.fold == fold) == (part == "test")]
            rows = [f"{int(clip.name)},{clip.label + 1}\n" for clip in listed]
            if rows:
                path = root / "EmoLabel_DataSplit" / f"{part}(single-labeled)" / f"set_{fold}.csv"
                write_file(path, ("video_name,label\n" + "".join(rows)).encode())


@lru_cache(maxsize=4)
def _clips(size: str, seed: int) -> dict[str, EmotionClip]:
    return {clip.name: clip for clip in draw_emotion_clips(EMOTIONS, size=SIZES[size], ids=IDS, seed=seed)}
