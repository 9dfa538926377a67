from pathlib import Path

from auharness.data.layout import child, missing_data, names_in, numbered, read_lines


def test_names_differ_in_case_and_the_first_pattern_wins(tmp_path: Path) -> None:
    for name in ("Videos_LeftCamera", "video_leftcamera", "._Video_LeftCamera"):
        (tmp_path / name).mkdir()
    assert child(tmp_path, "Video_LeftCamera") == tmp_path / "video_leftcamera"
    assert child(tmp_path, "nothing", "Videos*") == tmp_path / "Videos_LeftCamera"
    assert child(tmp_path, "Video_Right*") is None
    assert child(tmp_path / "absent", "*") is None and child(None, "*") is None
    assert names_in(tmp_path) == ["Videos_LeftCamera", "video_leftcamera"]


def test_stems_are_compared_as_numbers(tmp_path: Path) -> None:
    for name in ("7.jpg", "00008.JPG", "0007.jpg", "x9.jpg", "9.png", "-3.jpg", "²."):
        (tmp_path / name).touch()
    assert numbered(tmp_path, ".jpg") == {7: ["0007.jpg", "7.jpg"], 8: ["00008.JPG"]}


def test_text_of_any_origin_is_read(tmp_path: Path) -> None:
    file = tmp_path / "a.txt"
    file.write_bytes(b"\xef\xbb\xbf1,0\r\n2,\xff\n")
    assert read_lines(file) == ["1,0", "2,�"]


def test_a_missing_part_is_named_with_its_place_and_cure(tmp_path: Path) -> None:
    assert str(missing_data("bp4d", tmp_path, "images", "2D+3D")) == (
        f"bp4d: no images in {tmp_path}; expected 2D+3D; give the root by --data-root bp4d=PATH"
    )
