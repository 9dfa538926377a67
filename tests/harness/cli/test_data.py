import json
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest

from auharness.cli import data
from auharness.cli.common import Parser
from auharness.errors import DataError, UsageError

AUS = (1, 2, 4, 6, 7, 10, 12, 14, 15, 17, 23, 24)
Run = Callable[..., int]


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    monkeypatch.setenv("AUHARNESS_CACHE", str(tmp_path / "cache"))
    monkeypatch.delenv("AUHARNESS_DATA", raising=False)

    def call(*words: str) -> int:
        parser = Parser()
        data.add_parser(parser.add_subparsers(parser_class=Parser))
        args = parser.parse_args(["data", *words])
        code: int = args.handler(args)
        return code

    return call


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """One sequence of one subject per published part; two frames each, AU12 in the first."""
    folder = tmp_path / "BP4D"
    for value, subject in enumerate(("F001", "F003", "F004")):
        sheet = folder / "AUCoding" / "AU_OCC" / f"{subject}_T1.csv"
        sheet.parent.mkdir(parents=True, exist_ok=True)
        rows = [[frame, *(int(au == 12 and frame == 1) for au in AUS)] for frame in (1, 2)]
        sheet.write_text("\n".join(",".join(map(str, row)) for row in ([0, *AUS], *rows)))
        for frame in (1, 2):
            image = folder / "2D+3D" / subject / "T1" / f"{frame}.jpg"
            image.parent.mkdir(parents=True, exist_ok=True)
            cv2.imwrite(str(image), np.full((48, 48, 3), 40 * value + 10 * frame, np.uint8))
    return folder


def test_verify_lists_the_differences_of_licensed_data_and_fails(
    run: Run, root: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run("verify", "bp4d", "--data-root", f"bp4d={root}") == 3
    text = capsys.readouterr().out
    assert f"bp4d: 3 subjects, 6 coded rows in {root} (licensed, given by --data-root)" in text
    assert "\nfrom 2D+3D\n" in text
    assert "  F001 frames: 2, published 3934" in text
    assert "(all with --json)" in text
    assert run("verify", "bp4d", "--data-root", f"bp4d={root}", "--json") == 3
    report = json.loads(capsys.readouterr().out)
    assert report["verified"] is False and report["origin"] == "licensed" and len(report["manifest"]) == 64
    frames = [found for found in report["differences"] if found["column"] == "frames"]
    assert len(frames) == 41


@pytest.mark.parametrize(
    ("words", "read"),
    [
        (("verify", "samm"), "samm"),
        (("stats", "samm"), "samm"),
        (("prepare", "samm", "--dry-run"), "samm"),
        (("leaks", "--protocol", "casme2-to-samm"), "casme2, samm"),
    ],
)
def test_a_root_of_a_dataset_that_is_not_read_is_refused(
    run: Run, tmp_path: Path, words: tuple[str, ...], read: str
) -> None:
    given = "bp4d" if "," in read else "casme2"
    with pytest.raises(UsageError, match=f"^--data-root {given}: the command reads {read}"):
        run(*words, "--data-root", f"{given}={tmp_path}", "--data-size", "tiny")
    assert not (tmp_path / "cache").exists()


def test_verify_of_a_stand_in_is_no_failure(run: Run, root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (root / "SYNTHETIC.json").write_text("{}")
    assert run("verify", "bp4d", "--data-root", f"bp4d={root}") == 0
    assert "a stand-in: " in capsys.readouterr().out


def test_stats_count_every_part(run: Run, root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("stats", "bp4d", "--data-root", f"bp4d={root}", "--protocol", "bp4d-3fold", "--json") == 0
    parts = json.loads(capsys.readouterr().out)["parts"]
    assert [(part["part"], part["n_rows"]) for part in parts] == [("all", 6), ("P1", 2), ("P2", 2), ("P3", 2)]
    assert parts[0]["outputs"][6] == {"output": "AU12", "coded": 6, "positives": 3}
    assert run("stats", "bp4d", "--data-root", f"bp4d={root}") == 0
    line = next(line for line in capsys.readouterr().out.splitlines() if line.startswith("AU12"))
    assert line.split() == ["AU12", "3", "50.0"]


def test_what_the_reader_put_up_with_is_shown(
    run: Run, affwild2_tiny: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    given = ("--data-root", f"affwild2={affwild2_tiny}")
    for verb in ("verify", "stats"):
        assert run(verb, "affwild2", *given, "--json") == 0
        remarks = json.loads(capsys.readouterr().out)["remarks"]
        assert set(remarks) == {"train", "validation", "test"} and remarks["train"]["n_filled"] > 0
        assert run(verb, "affwild2", *given) == 0
        found = remarks["train"]
        line = ", ".join(f"{what} {count}" for what, count in found.items())
        assert f"\ntrain: {line}\n" in capsys.readouterr().out


def test_stats_refuse_a_protocol_of_other_datasets(run: Run, root: Path) -> None:
    with pytest.raises(UsageError, match="reads bp4d, disfa; expected a protocol of bp4d alone"):
        run("stats", "bp4d", "--data-root", f"bp4d={root}", "--protocol", "bp4d-to-disfa")


def test_leaks_fail_on_equal_images_of_two_subjects(run: Run, root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = ("leaks", "--protocol", "bp4d-3fold", "--data-root", f"bp4d={root}")
    assert run(*words) == 0
    text = capsys.readouterr().out
    assert text.startswith("no subject and no file is in two parts\n") and "bp4d and fera2015" in text
    images = root / "2D+3D"
    (images / "F003" / "T1" / "1.jpg").write_bytes((images / "F001" / "T1" / "2.jpg").read_bytes())
    assert run(*words) == 3
    expected = "bp4d/2D+3D/F001/T1/2.jpg equals bp4d/2D+3D/F003/T1/1.jpg, of another subject"
    assert capsys.readouterr().out.splitlines()[0] == expected


def test_prepare_makes_every_crop_where_a_run_looks(run: Run, root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = ("prepare", "bp4d", "--data-root", f"bp4d={root}", "--json", "--quiet")
    assert run(*words, "--dry-run") == 0
    planned = json.loads(capsys.readouterr().out)
    assert planned["bytes"] > 6 * 3 * 256**2 and not Path(planned["folder"]).exists()
    assert run(*words) == 0
    made = json.loads(capsys.readouterr().out)
    assert (made["crops"], made["left_out"]) == (6, 0)
    assert made["folder"] == planned["folder"] and Path(made["folder"]).is_dir()


def test_prepare_lists_an_image_that_cannot_be_read(run: Run, root: Path) -> None:
    (root / "2D+3D" / "F003" / "T1" / "2.jpg").write_bytes(b"\xff\xd8 cut short")
    with pytest.raises(DataError, match=r"F003/T1/2\.jpg"):
        run("prepare", "bp4d", "--data-root", f"bp4d={root}", "--quiet")
    assert run("prepare", "bp4d", "--data-root", f"bp4d={root}", "--quiet", "--on-bad-frame", "drop") == 0


def test_an_empty_root_is_one_line(run: Run, tmp_path: Path) -> None:
    with pytest.raises(DataError) as caught:
        run("verify", "bp4d", "--data-root", f"bp4d={tmp_path}")
    assert str(caught.value).startswith(f"bp4d: no AUCoding/AU_OCC/*.csv in {tmp_path}; expected ")
    assert "\n" not in str(caught.value) and caught.value.exit_code == 3


def test_an_unknown_dataset_is_named_with_the_nearest(run: Run) -> None:
    with pytest.raises(UsageError, match="no dataset 'bp4dd'; did you mean 'bp4d'"):
        run("verify", "bp4dd")


def test_synth_prints_the_folder_that_it_wrote(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from auharness.data.synthetic import standin

    def write(name: str, **options: object) -> Path:
        assert (name, options["size"], options["seed"], options["root"]) == ("disfa", "tiny", 4, tmp_path / "out")
        return tmp_path / "out"

    monkeypatch.setattr(standin, "ensure_standin", write)
    words = ("synth", "disfa", "--data-size", "tiny", "--data-seed", "4", "--out", str(tmp_path / "out"))
    assert run(*words) == 0
    captured = capsys.readouterr()
    assert captured.out.strip() == str(tmp_path / "out")
    assert f"--data-root disfa={tmp_path / 'out'}" in captured.err
