from collections.abc import Callable
from pathlib import Path

import pytest

from auharness.data.index import build_index
from auharness.data.verify import verify
from auharness.errors import DataError
from auharness.records import ClipRecord
from auharness_plugins.datasets.samm import SAMM, auharness_dataset

Root = Callable[..., Path]
AUS = (2, 4, 7, 12)
SUBJECTS = [number for number in range(6, 38) if number not in (8, 27, 29)]
ROWS = [
    ["006", "006_1_2", 5562, 5564, "4+7"],
    ["006", "006_1_3", 12, 13, "ref(7B)+43"],
    ["037", "037_4_1", 9999, 10001, "(R6 or R12)+R15"],
]


def read(root: Path, **settings: object) -> list[ClipRecord]:
    """Read a sheet that need not be a published version."""
    (root / "SYNTHETIC.json").write_text("{}")
    return list(SAMM(root=root, **settings).records())


def present(clip: ClipRecord) -> list[int]:
    return [au for au, label in clip.labels.items() if label]


def published() -> list[list[object]]:
    """159 rows of one frame in the published totals, the open rows and references among them."""
    sure = {2: 18, 4: 23, 7: 44, 12: 26}
    texts = ["+".join(str(au) for au, count in sure.items() if row < count) or "?" for row in range(159)]
    texts[100:107] = [
        *("(R6 or R12)+R15", "(R6 or R12) + R15", "L12 or L14", "R12 or R14", "R14A or 17A or 24A"),
        *("ref(7B)+43", "ref(7B)+43C"),
    ]
    ids = [f"{SUBJECTS[row % 29]:03d}" for row in range(159)]
    return [
        [subject, f"{subject}_1_{row}", 1, 1, text] for row, (subject, text) in enumerate(zip(ids, texts, strict=True))
    ]


def test_a_row_below_the_preamble_is_a_clip(samm_root: Root) -> None:
    first, second, third = read(samm_root(ROWS))
    assert (first.id, first.subject, first.frames) == ("samm/006/006_1_2", "006", (5562, 5563, 5564))
    assert first.media[0].path == "Cropped/006/006_1_2/006_05562.jpg"
    assert third.media[-1].path == "Cropped/037/037_4_1/037_10001.jpg"
    assert tuple(first.labels) == AUS and present(first) == [4, 7]
    assert (present(second), present(third)) == ([7], [12])


@pytest.mark.parametrize("preamble", [0, 12, 13, 14])
def test_the_header_is_found_whatever_stands_above_it(samm_root: Root, preamble: int) -> None:
    assert [clip.sequence for clip in read(samm_root(ROWS, preamble=preamble))] == [
        "006/006_1_2",
        "006/006_1_3",
        "037/037_4_1",
    ]


def test_a_subject_that_lost_its_zeros_is_the_same(samm_root: Root) -> None:
    root = samm_root(ROWS)
    before = read(root)
    samm_root([[int(str(subject)), *rest] for subject, *rest in ROWS])
    assert read(root) == before


def test_the_published_sheet_verifies_under_the_default_policies(samm_root: Root, tmp_path: Path) -> None:
    data = SAMM(root=samm_root(published()))
    report = verify(data, build_index(data, cache=tmp_path / "cache"))
    assert (report.verified, report.release, report.n_rows, report.n_subjects) == (True, "v2", 159, 29)


@pytest.mark.parametrize(
    ("settings", "au12", "au7"),
    [
        ({"or_policy": "drop"}, 26, 46),
        ({"or_policy": "first"}, 28, 46),
        ({"or_policy": "second"}, 28, 46),
        ({"or_policy": "meb"}, 28, 46),
        ({"or_policy": "all"}, 30, 46),
        ({"ref_policy": "drop"}, 28, 44),
    ],
)
def test_a_policy_changes_the_labels_and_not_which_version_it_is(
    samm_root: Root, settings: dict[str, str], au12: int, au7: int
) -> None:
    # no stand-in: the sheet must be known whatever the policy
    clips = list(SAMM(root=samm_root(published()), **settings).records())
    counts = {au: sum(clip.labels[au] for clip in clips) for au in AUS}
    assert counts == {2: 18, 4: 23, 7: au7, 12: au12}


def test_labels_of_another_policy_are_other_data(samm_root: Root, tmp_path: Path) -> None:
    """Rows of one table stand on equal labels, so the manifest follows what the same sheet is read as."""
    root = samm_root([["006", "006_1_2", 5, 6, "R12 or R14"], ["007", "007_3_1", 5, 6, "4"]])
    (root / "SYNTHETIC.json").write_text("{}")

    def manifest(policy: str) -> str:
        return build_index(SAMM.model_validate({"root": root, "or_policy": policy}), cache=tmp_path / "cache").manifest

    first, second, both, drop = map(manifest, ("first", "second", "all", "drop"))
    assert first == both and second == drop and first != second


def test_an_unknown_sheet_is_refused(samm_root: Root) -> None:
    with pytest.raises(
        DataError, match=r"sha256 [0-9a-f]{64}, 3 rows, 2 subjects, AU2 0, AU4 1, AU7 2, AU12 1; expected v2"
    ):
        list(SAMM(root=samm_root(ROWS)).records())


def test_alternatives_that_meb_never_met_ask_for_a_policy(samm_root: Root) -> None:
    root = samm_root([["006", "006_1_2", 1, 1, "L2 or L4"]])
    with pytest.raises(
        DataError, match="row 15: Action Units is L2 or L4, expected or_policy first, second, all or drop"
    ):
        read(root)
    assert present(read(root, or_policy="all")[0]) == [2, 4]


def test_full_frames_are_read_only_when_asked_for(samm_root: Root) -> None:
    root = samm_root(ROWS, folder="SAMM")
    assert read(root, images="raw")[0].media[0].path == "SAMM/006/006_1_2/006_05562.jpg"
    with pytest.raises(
        DataError, match=r"no Cropped folder in .*, where SAMM lies; read that with --set data\.samm\.images=raw"
    ):
        read(root)


def test_a_missing_image_is_listed_in_the_vendors_padding(samm_root: Root) -> None:
    root = samm_root(ROWS)
    (root / "Cropped/006/006_1_3/006_00012.jpg").unlink()
    with pytest.raises(DataError) as caught:
        read(root)
    (line,) = str(caught.value).splitlines()[1:]
    name = "SAMM_Micro_FACS_Codes_v2.xlsx"
    assert line == f"  {name} row 16: image is missing, expected Cropped/006/006_1_3/006_00012.jpg"


def test_clips_without_any_of_the_aus_stay_unless_dropped(samm_root: Root) -> None:
    root = samm_root([*ROWS, ["006", "006_9_9", 1, 1, "5"]])
    assert (len(read(root)), len(read(root, drop_empty=True))) == (4, 3)


def test_the_hook_returns_the_reader() -> None:
    assert auharness_dataset() is SAMM and SAMM.name == "samm" and SAMM.kind == "clip-multilabel"
