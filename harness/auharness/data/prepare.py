"""Fill the crop cache ahead: sequences in parallel, every bad file in one report, and what it will cost."""

import multiprocessing
import os
import signal
import threading
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass, replace
from pathlib import Path
from typing import NamedTuple

import cv2

from auharness.data.cache import BadFrame, CropCache, CropSettings, SequenceReport
from auharness.data.clips import all_frames
from auharness.data.landmarks import make_source
from auharness.errors import AuharnessError, DataError
from auharness.records import ClipRecord, FrameRecord

__all__ = ["Estimate", "PrepareReport", "by_sequence", "estimate", "prepare"]

# milliseconds of CPU time per frame on one server core: 1040 x 1392 stills, 1024 x 768 video; writing included
_STILL_MS = 10.0
_VIDEO_MS = 5.0
_ALIGN_MS = 2.5
_DETECT_MS = {"haar": 35.0, "mediapipe": 15.0, "retinaface": 100.0}
_EYES_MS = 40.0
_STEP_MS = {"clahe": 1.5, "bilateral": 1.0, "unsharp": 0.5}


class Estimate(NamedTuple):
    """What preparing will cost."""

    bytes: int
    """Disk space of the crops."""
    seconds: float
    """Time on one core; divide by the number of jobs."""


@dataclass(frozen=True, slots=True)
class PrepareReport:
    """What became of all sequences, sorted by name."""

    sequences: tuple[SequenceReport, ...]

    @property
    def n(self) -> int:
        """Frames with a crop."""
        return sum(report.n for report in self.sequences)

    @property
    def n_no_face(self) -> int:
        """Frames among them in which no face was found."""
        return sum(report.n_no_face for report in self.sequences)

    @property
    def n_bad(self) -> int:
        """Frames left out because they cannot be read."""
        return sum(report.n_bad for report in self.sequences)

    @property
    def bad(self) -> tuple[BadFrame, ...]:
        """The frames left out."""
        return tuple(bad for report in self.sequences for bad in report.bad)


def by_sequence(records: Iterable[FrameRecord | ClipRecord]) -> dict[str, list[FrameRecord]]:
    """Group frames, and the frames of clips, by sequence name, sorted by name; the order inside is kept."""
    groups: dict[str, list[FrameRecord]] = {}
    for record in all_frames(records):
        groups.setdefault(record.sequence, []).append(record)
    return {name: groups[name] for name in sorted(groups)}


def estimate(records: Sequence[FrameRecord], settings: CropSettings) -> Estimate:
    """Return disk space and time of preparing these records from nothing; times are rough, by a factor of two."""
    bytes_per_frame = 3 * settings.size**2 + 68 * 2 * 4 + 1 + 4
    stills = sum(record.media.frame is None for record in records)
    source = settings.landmarks.partition(":")[0]
    if settings.method == "haar-eyes":
        # the cascades run once for both
        each_ms = _ALIGN_MS + _EYES_MS + (0.0 if source == "haar" else _DETECT_MS.get(source, 0.0))
    else:
        each_ms = _ALIGN_MS + _DETECT_MS.get(source, 0.0)
    each_ms += sum(_STEP_MS[step] for step in settings.enhance)
    total_ms = len(records) * each_ms + stills * _STILL_MS + (len(records) - stills) * _VIDEO_MS
    return Estimate(bytes_per_frame * len(records), total_ms / 1000)


def prepare(
    cache: CropCache,
    root: Path,
    sequences: Mapping[str, Sequence[FrameRecord]],
    settings: CropSettings,
    *,
    jobs: int = 1,
    progress: Callable[[SequenceReport], None] | None = None,
) -> PrepareReport:
    """Make all missing crops.

    Args:
        cache: the cache to fill; sequences that it holds already are kept, others are left alone.
        root: the dataset root.
        sequences: sequence name -> its records.
        settings: how crops are made, and what to do with frames that cannot be read.
        jobs: number of processes; 1 works in this one.
        progress: called in this process after each sequence.

    Raises:
        DataError: after all sequences have been tried, if a frame cannot be read and `settings.on_bad_frame` is
            `fail`; it lists every bad file. At once if the landmark source is missing.
        UsageError: if the landmark source is unknown.
    """
    # a missing package or folder is one error here rather than one per worker
    make_source(settings.landmarks)
    tasks = [
        (name, _lean(sequences[name])) for name in sorted(sequences, key=lambda name: (-len(sequences[name]), name))
    ]
    reports = []
    for report in _run(cache, root, tasks, settings, jobs):
        reports.append(report)
        if progress is not None:
            progress(report)
    whole = PrepareReport(tuple(sorted(reports, key=lambda report: report.name)))
    if whole.n_bad and settings.on_bad_frame == "fail":
        raise DataError(_listing(whole.bad))
    return whole


Task = tuple[str, list[FrameRecord]]


def _lean(records: Sequence[FrameRecord]) -> list[FrameRecord]:
    """Leave labels behind: crops do not depend on them, and not every mapping can be sent to a process."""
    return [replace(record, labels={}) for record in records]


def _run(
    cache: CropCache, root: Path, tasks: list[Task], settings: CropSettings, jobs: int
) -> Iterator[SequenceReport]:
    missing = []
    for name, records in tasks:
        cache.remove_leftovers(name)
        report = cache.cached_report(root, name, records)
        if report is None:
            missing.append((name, records))
        else:
            yield report
    if jobs <= 1 or len(missing) <= 1:
        for name, records in missing:
            yield cache.prepare_sequence(root, name, records, settings)
    else:
        yield from _in_processes(cache, root, missing, settings, min(jobs, len(missing)))


def _in_processes(
    cache: CropCache, root: Path, tasks: list[Task], settings: CropSettings, jobs: int
) -> Iterator[SequenceReport]:
    before = set(multiprocessing.active_children())
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(jobs, mp_context=context, initializer=_start_worker) as pool:
        try:
            futures = [pool.submit(cache.prepare_sequence, root, name, records, settings) for name, records in tasks]
            for future in as_completed(futures):
                yield future.result()
        except BrokenProcessPool:
            raise AuharnessError(
                "a crop worker ended early: out of memory, or a script that calls the harness without "
                "`if __name__ == '__main__':`; finished sequences are kept, run again with --jobs 1"
            ) from None
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            for worker in set(multiprocessing.active_children()) - before:
                worker.terminate()
            raise


def _start_worker() -> None:
    cv2.setNumThreads(1)
    # the parent decides what an interrupt from the terminal means
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)


def _listing(bad: Sequence[BadFrame]) -> str:
    """Return one line per distinct fault; a video that cannot be opened is one fault of many frames."""
    faults = Counter(item.message for item in bad)
    lines = [f"  {message}{f' ({count} frames)' if count > 1 else ''}" for message, count in faults.items()]
    head = f"frames that cannot be read: {len(bad)}; repair the files, or leave them out with --on-bad-frame drop:"
    return "\n".join([head, *lines])
