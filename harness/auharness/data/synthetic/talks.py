"""People in films from the web: how long the films are, who speaks, laughs and sighs when, and which AUs go with it.

A person's time is a row of acts. Each raises the latent curves of some AUs: laughter 6, 12, 25 and 26, a sigh 1 with 4
or 15, speech the opening of the mouth; smooth noise and what is particular to the person come on top. An AU is present
in the frames with the highest values of all films of a part, so that **rates are the published ones** in the part as a
whole, and differ from person to person.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction

import numpy as np
from numpy.typing import NDArray

from auharness.data.synthetic.motion import named_rng, smooth_noise

__all__ = ["AUS", "Act", "Film", "Part", "draw_acts", "draw_films", "draw_labels"]

AUS = (1, 2, 4, 6, 7, 10, 12, 15, 23, 24, 25, 26)
"""Columns of the labels."""

_RATES = (11.8, 5.0, 15.4, 26.6, 39.7, 34.4, 24.5, 2.8, 3.1, 2.6, 62.7, 7.4)  # percent of the coded training rows
_NOT_CODED = 0.03  # of the rows, beside the coded ones
_SPREAD = 0.8  # of the log length, where films have the vendor's lengths
_DATASET = "affwild2"

_ACTS: Mapping[str, tuple[float, float, float]] = {
    "speech": (0.45, 1.2, 3.5),
    "laugh": (0.2, 0.8, 2.2),
    "sigh": (0.15, 0.7, 1.4),
    "quiet": (0.2, 0.4, 1.5),
}
"""Kind -> (share of the acts, shortest, longest in seconds)."""

_RAISED: Mapping[str, Mapping[int, float]] = {
    "speech": {25: 1.8, 26: 1.3, 10: 0.4},
    "laugh": {6: 2.1, 12: 2.3, 25: 2.2, 26: 2.0, 7: 1.4, 10: 1.0},
    "sigh": {1: 2.0, 25: -0.6},
    "quiet": {23: 0.8, 24: 1.0, 25: -1.6, 4: 0.4},
}
"""Kind -> AU -> rise of the latent curve."""
_SIGHS = ({4: 1.9}, {15: 2.2, 4: 0.6})


@dataclass(frozen=True)
class Part:
    """A part of the data set.

    Attributes:
        videos: number of label files, or of videos of the test list.
        rows: coded rows of all videos of the part.
    """

    videos: int
    rows: int


@dataclass(frozen=True)
class Film:
    """One film with one or two people in it.

    Attributes:
        name: of the file, without its ending.
        part: `train`, `validation` or `test`.
        people: endings of the names of its videos.
        coded: rows with coded AUs.
        rows: rows of each label file.
        pictures: pictures of the film.
        rate: pictures per second, on average.
        varying: whether the rate varies.
        sound: samples per second of the sound track; 0 for none.
        ending: of the file.
        new: whether the crops lie in the second folder.
    """

    name: str
    part: str
    people: tuple[str, ...]
    coded: int
    rows: int
    pictures: int
    rate: Fraction
    varying: bool
    sound: int
    ending: str
    new: bool

    @property
    def videos(self) -> tuple[str, ...]:
        """Names of its videos."""
        return tuple(self.name + person for person in self.people)


@dataclass(frozen=True)
class Act:
    """What a person does for a while: `speech`, `laugh`, `sigh` or `quiet`; seconds since the film began."""

    kind: str
    start: float
    stop: float
    raised: Mapping[int, float]


@dataclass(frozen=True)
class _Kind:
    rate: Fraction = Fraction(30)
    people: tuple[str, ...] = ("",)
    varying: bool = False
    sound: int = 44100
    ending: str = ".mp4"
    new: bool = False
    surplus: int = 0  # rows beyond the film's pictures


_NTSC = Fraction(30000, 1001)
_KINDS = (
    _Kind(_NTSC, people=("_left", "_right")),
    _Kind(Fraction(24), varying=True, surplus=7, sound=48000),
    _Kind(Fraction(25), sound=0, ending=".avi", new=True, surplus=-6),
    _Kind(surplus=-1),
    _Kind(Fraction(25), sound=16000),
    _Kind(people=("_main",), ending=".avi", sound=16000),
    _Kind(Fraction(24), surplus=-1),
    _Kind(_NTSC, new=True),
)
_FIRST = {"train": 0, "validation": 5, "test": 3}  # kind of the first film of a part; the others follow


def draw_films(parts: Mapping[str, Part], *, vendor_lengths: bool) -> dict[str, Film]:
    """Return the films by name; those of a part have its number of videos and coded rows.

    Which films there are belongs to the size, not to the seed.

    Args:
        parts: `train`, `validation` and `test`.
        vendor_lengths: whether lengths differ as much as the vendor's, or hardly.
    """
    films = {}
    number = 0
    for part, wanted in parts.items():
        kinds = _kinds(wanted.videos, _FIRST[part])
        lengths = _lengths(kinds, wanted, named_rng(0, _DATASET, part, "lengths"), 1.0 if vendor_lengths else 0.05)
        for kind, coded in zip(kinds, lengths, strict=True):
            number += 1
            rows = coded + (0 if part == "test" else max(4, round(_NOT_CODED * coded)))
            size = "272x128" if len(kind.people) == 2 else "144x128"
            name = f"{number}-{round(kind.rate)}-{size}"
            pictures = max(8, rows - kind.surplus)
            films[name] = Film(
                *(name, part, kind.people, coded, rows, pictures),
                *(kind.rate, kind.varying, kind.sound, kind.ending, kind.new),
            )
    return films


def draw_acts(film: Film, person: str, *, seconds: float, seed: int) -> list[Act]:
    """Return what one person of a film does, without a gap from 0 to its end."""
    rng = named_rng(seed, _DATASET, film.name + person, "acts")
    kinds = list(_ACTS)
    shares = rng.dirichlet(12 * np.array([share for share, _, _ in _ACTS.values()]))
    # in a film of two seconds everything goes faster
    pace = float(np.clip(seconds / 8, 0.3, 1.0))
    acts = []
    start = 0.0
    while start < seconds:
        kind = kinds[int(rng.choice(len(kinds), p=shares))]
        _, shortest, longest = _ACTS[kind]
        stop = start + pace * float(rng.uniform(shortest, longest))
        extra = _SIGHS[int(rng.integers(len(_SIGHS)))] if kind == "sigh" else {}
        acts.append(Act(kind, start, min(stop, seconds), {**_RAISED[kind], **extra}))
        start = stop
    return acts


def draw_labels(
    films: Sequence[Film], times: Mapping[str, NDArray[np.float64]], *, seed: int
) -> dict[str, NDArray[np.bool_]]:
    """Return video -> bool [moments, AU] of the films of one part; every AU has its published rate in the part.

    Args:
        films: all films of the part.
        times: film -> [moments] seconds.
        seed: the stand-in's seed.
    """
    curves = {
        film.name + person: _latent(film, person, times[film.name], seed=seed)
        for film in films
        for person in film.people
    }
    everything = np.concatenate(list(curves.values()))
    present = np.round(np.array(_RATES) / 100 * len(everything)).astype(np.int64).clip(min=1)
    # the lowest of the values that are present
    limits = -np.sort(-everything, axis=0)[present - 1, np.arange(len(AUS))]
    return {video: curve >= limits for video, curve in curves.items()}


def _latent(film: Film, person: str, times: NDArray[np.float64], *, seed: int) -> NDArray[np.float32]:
    rng = named_rng(seed, _DATASET, film.name + person, "labels")
    pace = float(film.rate)
    curves = 0.35 * rng.standard_normal(len(AUS)) + 0.5 * smooth_noise(
        rng, len(times), channels=len(AUS), width=pace / 3
    )
    raised = np.zeros_like(curves)
    for act in draw_acts(film, person, seconds=float(times[-1]) + 1 / pace, seed=seed):
        inside = (times >= act.start) & (times < act.stop)
        for au, rise in act.raised.items():
            raised[inside, AUS.index(au)] = rise
    return np.asarray(curves + raised, np.float32)


def _kinds(videos: int, first: int) -> list[_Kind]:
    """Return kinds of films that hold this number of videos."""
    found: list[_Kind] = []
    left = videos
    while left:
        kind = _KINDS[(first + len(found)) % len(_KINDS)]
        found.append(kind if len(kind.people) <= left else _KINDS[4])
        left -= len(found[-1].people)
    return found


def _lengths(kinds: Sequence[_Kind], part: Part, rng: np.random.Generator, spread: float) -> list[int]:
    """Return coded rows per video of each film; over all videos they sum to those of the part."""
    people = np.array([len(kind.people) for kind in kinds])
    shares = np.exp(_SPREAD * spread * rng.standard_normal(len(kinds)))
    lengths = (shares / (shares * people).sum() * part.rows).astype(np.int64)
    # the last film with one person takes what rounding left
    last = int(np.flatnonzero(people == 1)[-1])
    lengths[last] += part.rows - int((lengths * people).sum())
    return [int(length) for length in lengths]
