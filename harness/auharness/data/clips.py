"""A clip as the frames that it is made of: the crop cache holds frames, whatever a dataset labels."""

from collections.abc import Iterable

from auharness.records import ClipRecord, FrameRecord

__all__ = ["all_frames", "frames_of"]


def frames_of(record: FrameRecord | ClipRecord) -> list[FrameRecord]:
    """Return the frames of a record without labels; a frame is its own and only one.

    >>> from auharness.records import Media
    >>> clip = ClipRecord("casme2", "01", "01/EP02", (7, 8), (Media("a.jpg"), Media("b.jpg")))
    >>> [(frame.frame, frame.media.path) for frame in frames_of(clip)]
    [(7, 'a.jpg'), (8, 'b.jpg')]
    """
    if isinstance(record, FrameRecord):
        return [record]
    landmarks = record.landmarks or (None,) * len(record.frames)
    return [
        FrameRecord(record.dataset, record.subject, record.sequence, frame, media, {}, points)
        for frame, media, points in zip(record.frames, record.media, landmarks, strict=True)
    ]


def all_frames(records: Iterable[FrameRecord | ClipRecord]) -> list[FrameRecord]:
    """Return the frames of all records, in their order."""
    return [frame for record in records for frame in frames_of(record)]
