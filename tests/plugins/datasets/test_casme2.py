import hashlib
import random
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import ClassVar

import pytest

from auharness.data.index import Index, build_index
from auharness.data.verify import verify
from auharness.errors import DataError
from auharness.records import ClipRecord
from auharness_plugins.datasets.casme2 import CASME2, auharness_dataset

Root = Callable[..., Path]
AUS = (1, 2, 4, 7, 12, 14, 15, 17)
POSITIVES = {1: 26, 2: 22, 4: 130, 7: 39, 12: 34, 14: 27, 15: 16, 17: 25}  # the 256 rows of the updated sheet
SHEET = "CASME2-coding-20190701.xlsx"
ROWS = [[1, "EP02_01f", 46, 49, "12"], [1, "EP03_02", 7, 9, "4+R10"], [26, "EP18_51", 1, 2, "?"]]


def read(root: Path, **settings: object) -> list[ClipRecord]:
    """Read a sheet that need not be a published version."""
    (root / "SYNTHETIC.json").write_text("{}")
    return list(CASME2(root=root, **settings).records())


def message(root: Path, **settings: object) -> list[str]:
    with pytest.raises(DataError) as caught:
        read(root, **settings)
    return str(caught.value).splitlines()


def published(positives: dict[int, int], n_rows: int) -> list[list[object]]:
    """Rows of one frame in the vendor's numbers; AU4 is the only label of the last rows that it has."""
    aus = [[au for au, count in positives.items() if row < count] for row in range(n_rows)]
    return [[row % 26 + 1, f"EP{row:03d}", 1, 1, "+".join(map(str, names)) or "?"] for row, names in enumerate(aus)]


def test_a_row_is_a_clip_from_onset_to_offset(casme2_root: Root) -> None:
    first, second, third = read(casme2_root(ROWS))
    assert (first.id, first.subject, first.sequence) == ("casme2/01/EP02_01f", "01", "01/EP02_01f")
    assert first.frames == (46, 47, 48, 49)
    assert [media.path for media in first.media] == [f"Cropped/sub01/EP02_01f/reg_img{n}.jpg" for n in range(46, 50)]
    assert tuple(first.labels) == AUS and [au for au in AUS if first.labels[au]] == [12]
    assert [au for au in AUS if second.labels[au]] == [4]  # AU10 is none of the eight
    assert (third.subject, set(third.labels.values())) == ("26", {0})


def test_raw_frames_are_a_setting(casme2_root: Root) -> None:
    root = casme2_root(ROWS, image="CASME2_RAW_selected/sub{0:02d}/{1}/img{2}.jpg")
    (line,) = message(root)
    assert line.startswith(
        f"casme2: no Cropped folder in {root}, where CASME2_RAW_selected lies; read that with --set "
        "data.casme2.images=raw (without data.casme2. in `auharness data`); expected CASME2-coding-20190701.xlsx"
    )
    (clip, *_) = read(root, images="raw")
    assert clip.media[0].path == "CASME2_RAW_selected/sub01/EP02_01f/img46.jpg"


def test_a_root_without_any_frames_names_what_it_must_hold(casme2_root: Root) -> None:
    root = casme2_root(ROWS, image="elsewhere/sub{0:02d}/{1}/img{2}.jpg")
    (line,) = message(root)
    assert line.startswith(
        f"casme2: no Cropped folder in {root}; expected CASME2-coding-20190701.xlsx and Cropped/sub01/"
    )


@pytest.mark.parametrize(
    "name", ["CASME2-coding-20140508.xlsx", "CASME2-coding-20190701.xlsx", "CASME2-coding-updated.xlsx"]
)
def test_the_sheet_is_found_under_every_circulating_name(casme2_root: Root, name: str) -> None:
    root = casme2_root(ROWS, name=name)
    assert len(read(root)) == 3
    assert CASME2(root=root).label_files() == [Path(name)]


def test_two_sheets_are_refused_until_one_is_named(casme2_root: Root) -> None:
    casme2_root(ROWS[:1], name="CASME2-coding-updated.xlsx")
    root = casme2_root(ROWS)
    (line,) = message(root)
    assert f"{root} holds {SHEET} and CASME2-coding-updated.xlsx; expected one label sheet; keep one, or name" in line
    assert len(read(root, sheet="CASME2-coding-updated.xlsx")) == 1
    assert CASME2(root=root, sheet=SHEET).label_files() == [Path(SHEET)]


def test_a_row_permuted_sheet_gives_identical_labels(casme2_root: Root, tmp_path: Path) -> None:
    rows = published(POSITIVES, 256)
    (tmp_path / "b").mkdir()
    plain = CASME2(root=casme2_root(rows))
    random.Random(0).shuffle(rows)
    other = CASME2(root=casme2_root(rows, root=tmp_path / "b"))
    assert rows != published(POSITIVES, 256)
    assert list(plain.records()) == list(other.records())


def test_the_published_version_is_read_and_verifies(casme2_root: Root, tmp_path: Path) -> None:
    data = CASME2(root=casme2_root(published(POSITIVES, 256)))
    report = verify(data, build_index(data, cache=tmp_path / "cache"))
    assert (report.verified, report.release, report.n_rows, report.n_subjects) == (True, "updated", 256, 26)


def test_a_version_known_by_its_rows_only_is_read_but_not_verified(casme2_root: Root, tmp_path: Path) -> None:
    data = CASME2(root=casme2_root(published(POSITIVES, 255)))
    report = verify(data, build_index(data, cache=tmp_path / "cache"))
    assert report.verified is False
    assert [str(difference) for difference in report.differences] == ["updated rows: 255, published 256"]


@pytest.mark.parametrize(("positives", "n_rows"), [({**POSITIVES, 7: 38}, 256), (POSITIVES, 254)])
def test_an_unknown_sheet_is_refused_with_its_hash_and_counts(
    casme2_root: Root, positives: dict[int, int], n_rows: int
) -> None:
    root = casme2_root(published(positives, n_rows))
    digest = hashlib.sha256((root / SHEET).read_bytes()).hexdigest()
    with pytest.raises(DataError) as caught:
        list(CASME2(root=root).records())
    line = str(caught.value)
    found = ", ".join(f"AU{au} {count}" for au, count in positives.items())
    assert "\n" not in line
    assert line.startswith(
        f"casme2: {SHEET} is no published version: sha256 {digest}, {n_rows} rows, 26 subjects, {found}; "
        "expected updated: 256 rows, 26 subjects, AU1 26, AU2 22, AU4 130, AU7 39, AU12 34, AU14 27, AU15 16, AU17 25; "
        "2019: 246 rows, "
    )
    assert f"or read it as it is by --set data.casme2.accept_sheet={digest} (without data.casme2. in `" in line
    with pytest.raises(DataError, match="is no published version"):
        list(CASME2(root=root, accept_sheet=digest[:-1] + "x").records())
    data = CASME2(root=root, accept_sheet=digest)
    assert len(list(data.records())) == n_rows
    report = verify(data, build_index(data, cache=root / "cache"))
    assert report.verified is False and len(report.differences) == 1


def test_equal_ids_of_another_dataset_are_other_subjects(casme2_root: Root, tmp_path: Path) -> None:
    class Casme(CASME2):
        name: ClassVar[str] = "casme"

        def records(self) -> Iterator[ClipRecord]:
            for clip in super().records():
                yield ClipRecord("casme", clip.subject, clip.sequence, clip.frames, clip.media, labels=clip.labels)

    root = casme2_root(ROWS)
    (root / "SYNTHETIC.json").write_text("{}")
    index = Index.concat([build_index(data(root=root), cache=tmp_path / "cache") for data in (CASME2, Casme)])
    assert index.subjects("casme") == index.subjects("casme2") == ("01", "26")
    assert len(set(index.table["sample_id"])) == len(index) == 6
    here, there = index.rows([("casme2", "01")]), index.rows([("casme", "01")])
    assert set(index.table["dataset"][here]) == {"casme2"} and set(index.table["dataset"][there]) == {"casme"}
    assert len(here) == len(there) == 2


def test_missing_and_double_images_are_listed_by_file(casme2_root: Root) -> None:
    root = casme2_root(ROWS)
    folder = root / "Cropped/sub01/EP02_01f"
    (folder / "reg_img47.jpg").unlink()
    (folder / "reg_img049.jpg").touch()
    for image in (root / "Cropped/sub26/EP18_51").iterdir():
        image.unlink()
    (root / "Cropped/sub26/EP18_51").rmdir()
    summary, *lines = message(root)
    assert summary == (
        f"casme2: 3 problems in 1 file; correct the files below {root}, or put corrected cells into patches.csv there, "
        "then repeat the command"
    )
    place = "Cropped/sub01/EP02_01f"
    assert lines == [
        f"  {SHEET} row 2: image is missing, expected {place}/reg_img47.jpg",
        f"  {SHEET} row 2: image is reg_img049.jpg and reg_img49.jpg, expected {place}/reg_img49.jpg",
        f"  {SHEET} row 4: image folder is missing, expected Cropped/sub26/EP18_51",
    ]


def test_every_bad_row_is_listed(casme2_root: Root) -> None:
    rows = [
        ["x1", "EP01_01", 1, 2, "4"],
        [2, None, 1, 2, "4"],
        [3, "EP01_01", "/", 2, "4"],
        [4, "EP01_01", 9, 2, "4"],
        [5, "EP01_01", 1, 2, "R12 and R14"],
        [6, "EP01_01", 1, 2, "4"],
        [6, "EP01_01 ", 1, 2, "7"],
        [7, "../EP01_01", 1, 2, "4"],
    ]
    root = casme2_root(ROWS[:1])
    casme2_root([[1, "EP02_01f", 46, 49, "12"]])
    sheet(root, rows)
    expected = "expected AU numbers such as 4+L9+14, 7B, A/L12, ref(43) or (R6 or R12)+R15, or ? for none"
    assert message(root)[1:] == [
        f"  {SHEET} row 2: Subject is x1, expected a whole number",
        f"  {SHEET} row 3: Filename is empty, expected the folder of the clip",
        f"  {SHEET} row 4: Onset Frame is /, expected a whole number",
        f"  {SHEET} row 5: Offset Frame is 2, expected at least the onset 9",
        f"  {SHEET} row 6: Action Units is R12 and R14, {expected}",
        f"  {SHEET} row 8: Filename is EP01_01 of 06, as in row 7, expected each clip once",
        f"  {SHEET} row 9: Filename is ../EP01_01, expected the folder of the clip",
    ]


def test_a_keyed_patch_corrects_a_cell_and_enters_the_label_files(casme2_root: Root) -> None:
    root = casme2_root(ROWS)
    (root / "patches.csv").write_text(
        "subject,filename,field,old,new\n1,EP02_01f,OffsetFrame,49,47\n26,EP18_51,Action Units,?,7\n"
    )
    clips = {clip.sequence: clip for clip in read(root)}
    assert clips["01/EP02_01f"].frames == (46, 47) and clips["26/EP18_51"].labels[7] == 1
    assert CASME2(root=root).label_files() == [Path(SHEET), Path("patches.csv")]
    (root / "patches.csv").write_text("subject,filename,field,old,new\n01,EP02_01f,OffsetFrame,48,47\n")
    (line,) = message(root)[1:]
    assert line == (
        "  patches.csv row 2: Offset Frame is 49 in row 2 of the sheet (01 EP02_01f), expected the old value 48"
    )


def test_a_patch_does_not_hide_which_version_the_sheet_is(casme2_root: Root, tmp_path: Path) -> None:
    root = casme2_root(published(POSITIVES, 256))
    (root / "patches.csv").write_text("subject,filename,field,old,new\n1,EP000,Action Units,1+2+4+7+12+14+15+17,?\n")
    data = CASME2(root=root)
    report = verify(data, build_index(data, cache=tmp_path / "cache"))
    assert report.verified is False and {d.published - d.found for d in report.differences} == {1}
    assert [d.column for d in report.differences] == [f"AU{au}" for au in AUS]


def test_clips_without_any_of_the_aus_stay_unless_dropped(casme2_root: Root) -> None:
    root = casme2_root(ROWS)
    assert len(read(root)) == 3
    assert [clip.subject for clip in read(root, drop_empty=True)] == ["01", "01"]


def test_the_apex_is_never_read(casme2_root: Root) -> None:
    header = ["Subject", "Filename", None, "OnsetFrame", "something else", "OffsetFrame", None, "Action Units", None]
    assert len(read(casme2_root(ROWS, header=header))) == 3


def test_a_wrong_root_is_one_line_that_names_what_is_missing_and_where(tmp_path: Path) -> None:
    (line,) = message(tmp_path)
    assert line.startswith(f"casme2: no label sheet in {tmp_path}; expected CASME2-coding-20190701.xlsx and Cropped/")
    assert CASME2(root=tmp_path).label_files() == []


def test_the_hook_returns_the_reader() -> None:
    assert auharness_dataset() is CASME2 and CASME2.name == "casme2" and CASME2.kind == "clip-multilabel"


def sheet(root: Path, rows: list[list[object]]) -> None:
    """Replace the sheet, and leave the images alone."""
    from openpyxl import Workbook

    book = Workbook()
    book.active.append(["Subject", "Filename", None, "OnsetFrame", "OffsetFrame", "Action Units"])
    for subject, filename, onset, offset, aus in rows:
        book.active.append([subject, filename, None, onset, offset, aus])
    book.save(root / SHEET)
