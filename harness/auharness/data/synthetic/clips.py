"""Micro-expression clips: which movement each subject shows in which clip, and when it begins, peaks and ends.

A corpus lists the texts that its sheet holds, how often each, and beside each text what the face does. A stand-in of
the vendor's size holds exactly these rows, so its positives per AU are the published ones; a smaller one holds an even
sample of them. Which subject shows which row is drawn, as nothing about it is published.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from auharness.data.synthetic.motion import named_rng

__all__ = ["Action", "Clip", "ClipSize", "Code", "Corpus", "draw_clips", "positives"]

Action = tuple[str, int]
"""Side of the face (`L` and `R` are the subject's own, empty for both) and AU number."""


@dataclass(frozen=True)
class ClipSize:
    """How much of the vendor's data a stand-in holds; None stands for all of it.

    Attributes:
        width: of the frames, in pixels.
        height: of the frames, in pixels; 170 and more.
        subjects: how many of the official subjects, in order of their ids.
        clips: how many clips, sampled evenly from the corpus and divided evenly among the subjects.
        longest: most frames from onset to offset; the vendor's lengths are squeezed below it.
        texts: the sheet's texts to take instead of a sample.
    """

    width: int
    height: int
    subjects: int | None = None
    clips: int | None = None
    longest: int | None = None
    texts: tuple[str, ...] = ()


@dataclass(frozen=True)
class Code:
    """A text of the sheet.

    Attributes:
        text: what the coder wrote.
        shown: what the face does, as AU numbers with an L or R before those on one side: `4 L9`; may be empty.
        rows: number of rows with this text in the vendor's sheet.
        emotion: the estimated emotion.
    """

    text: str
    shown: str
    rows: int
    emotion: str

    @property
    def actions(self) -> tuple[Action, ...]:
        """The movements of `shown`."""
        return tuple((word.rstrip("0123456789"), int(word.lstrip("LR"))) for word in self.shown.split())


@dataclass(frozen=True)
class Corpus:
    """What a vendor recorded.

    Attributes:
        dataset: dataset name, part of every seed.
        subjects: official ids, sorted.
        codes: all texts of the sheet, those with the same AUs side by side.
        aus: AUs that benchmarks keep.
        lengths: frames from onset to offset: least, median and most.
        numbers: range of the onset frames' numbers.
        apex_missing: share of the rows whose apex was not coded.
    """

    dataset: str
    subjects: tuple[str, ...]
    codes: tuple[Code, ...]
    aus: tuple[int, ...]
    lengths: tuple[int, int, int]
    numbers: tuple[int, int]
    apex_missing: float = 0.0


@dataclass(frozen=True)
class Clip:
    """One clip; frames are the vendor's numbers, and all from `first` to `last` are on disk.

    Attributes:
        subject: official id.
        place: position among the subject's clips, from 0.
        code: text of the sheet and what it says.
        first: first frame on disk, at most 2 before the onset.
        onset: first frame of the movement.
        apex: frame of the strongest movement.
        apex_coded: whether the sheet says which it is.
        offset: last frame of the movement.
        last: last frame on disk, at most 2 after the offset.
    """

    subject: str
    place: int
    code: Code
    first: int
    onset: int
    apex: int
    apex_coded: bool
    offset: int
    last: int


def positives(codes: Sequence[Code], au: int) -> int:
    """Return in how many rows of the vendor's sheet an AU is present, on one side or on both."""
    return sum(code.rows for code in codes if any(au == number for _, number in code.actions))


def draw_clips(corpus: Corpus, *, size: ClipSize, seed: int) -> dict[str, list[Clip]]:
    """Return the clips of every subject of this size, in order; every kept AU shows on two subjects at least."""
    rng = named_rng(seed, corpus.dataset, "clips")
    codes = _sample(corpus, size, rng)
    subjects = corpus.subjects[: size.subjects]
    shares = _shares(len(codes), len(subjects), rng, even=len(codes) < sum(code.rows for code in corpus.codes))
    people = _spread(corpus, codes, np.repeat(np.arange(len(subjects)), shares), rng)
    clips: dict[str, list[Clip]] = {subject: [] for subject in subjects}
    for code, person in zip(codes, people.tolist(), strict=True):
        own = clips[subjects[person]]
        own.append(_clip(corpus, size, subjects[person], len(own), code, rng))
    return clips


def _sample(corpus: Corpus, size: ClipSize, rng: np.random.Generator) -> list[Code]:
    """Return a code per clip: those named, or an even sample; as rows with the same AUs adjoin, it keeps the rates."""
    if size.texts:
        by_text = {code.text: code for code in corpus.codes}
        return [by_text[text] for text in size.texts]
    rows = [code for code in corpus.codes for _ in range(code.rows)]
    count = len(rows) if size.clips is None else size.clips
    picks = (np.arange(count) + rng.uniform()) * len(rows) / count
    return [rows[int(pick)] for pick in picks]


def _shares(clips: int, subjects: int, rng: np.random.Generator, *, even: bool) -> NDArray[np.int64]:
    """Return the number of clips per subject, at least one."""
    if even:
        return np.asarray(clips // subjects + (rng.permutation(subjects) < clips % subjects), np.int64)
    # some people suppress well, others leak often
    return np.asarray(1 + rng.multinomial(clips - subjects, rng.dirichlet(np.full(subjects, 3.0))), np.int64)


def _spread(
    corpus: Corpus, codes: Sequence[Code], slots: NDArray[np.int64], rng: np.random.Generator
) -> NDArray[np.int64]:
    """Return who shows each code: by chance, drawn again until no kept AU is one subject's alone."""
    while True:
        people = rng.permutation(slots)
        pairs = {(au, who) for code, who in zip(codes, people.tolist(), strict=True) for _, au in code.actions}
        showing = Counter(au for au, _ in pairs)
        if all(showing[au] > 1 for au in corpus.aus):
            return people


def _clip(corpus: Corpus, size: ClipSize, subject: str, place: int, code: Code, rng: np.random.Generator) -> Clip:
    least, median, most = corpus.lengths
    length = np.interp(rng.beta(2, 2), (0, 0.5, 1), (least, median, most))
    if size.longest is not None and size.longest < most:
        length = least + (length - least) * (size.longest - least) / (most - least)
    span = round(float(length)) - 1
    onset = int(rng.integers(*corpus.numbers))
    apex = onset + round(span * float(rng.uniform(0.3, 0.6)))
    coded = bool(rng.uniform() >= corpus.apex_missing)
    before, after = (int(extra) for extra in rng.integers(0, 3, 2))
    return Clip(subject, place, code, onset - before, onset, apex, coded, onset + span, onset + span + after)
