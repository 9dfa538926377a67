"""The page, csv and pictures of scaling points made by hand."""

import csv
import io
import sys

import pytest

from auharness.errors import DataError, IntegrityError
from auharness.leaderboard import add_scaling, build_boards, check_boards, write_scaling
from auharness.leaderboard.scaling import scaling_files, scaling_pictures, scaling_points
from auharness.ops.fla_ttt import FUNCTION
from auharness.scaling.point import append_points
from auharness.scaling.records import Machine

GPU = Machine(kind="cuda", device="NVIDIA H200", driver="580.1", threads=1, versions={"torch": "2.11"})
LENGTHS = (197, 1024, 2048, 4096)


@pytest.fixture
def suite(point):
    """Two mixers over four lengths in both phases, one of which runs out of memory in the end."""

    def make(**fields):
        points = []
        for mixer, power in (("ttt", 1.0), ("attention", 2.0)):
            for length in LENGTHS:
                for phase in ("forward", "training"):
                    full = mixer == "attention" and length == LENGTHS[-1] and phase == "training"
                    status = "out of memory" if full else "ok"
                    given = {"power": power, "status": status, "phase": phase, **fields}
                    points.append(point(mixer, length, **given))
        return points

    return make


def rows_of(page: str, mixer: str) -> list[list[str]]:
    lines = [line for line in page.splitlines() if line.startswith(f"| `{mixer}`")]
    return [[cell.strip() for cell in line.strip("|").split("|")][1:] for line in lines]


def test_exponents_stand_on_the_page_with_their_intervals(suite):
    page = scaling_files(suite())["mixer-scaling.md"]
    assert rows_of(page, "ttt")[0] == ["1.00 [1.00, 1.00]", "1.00 [1.00, 1.00]"]
    # two lengths over 1024 are left of attention's training pass: no exponent
    assert rows_of(page, "attention")[0] == ["2.00 [2.00, 2.00]", ""]


def test_times_on_a_cpu_are_relative_and_never_milliseconds(suite):
    page = scaling_files(suite())["mixer-scaling.md"]
    assert rows_of(page, "ttt")[1] == ["1x (4)", "5.2x (4)", "10.4x (4)", "20.8x (4)"]
    assert " ms" not in page


def test_times_on_a_gpu_are_milliseconds_with_their_distance_from_the_floor(suite):
    page = scaling_files(suite(machine=GPU))["mixer-scaling.md"]
    assert "in ms, in brackets how many floors" in page
    assert rows_of(page, "ttt")[1] == ["0.212 (4.4)", "1.1 (4.4)", "2.2 (4.4)", "4.4 (4.4)"]
    assert "## NVIDIA H200 (CUDA)" in page and "driver 580.1" in page


def test_memory_stands_in_mebibytes_with_what_is_kept_per_token(suite):
    page = scaling_files(suite())["mixer-scaling.md"]
    assert rows_of(page, "ttt")[3] == ["197.0 (2.00)", "1024.0 (2.00)", "2048.0 (2.00)", "4096.0 (2.00)"]


def test_what_did_not_run_is_a_cell_and_a_line(suite):
    page = scaling_files(suite())["mixer-scaling.md"]
    assert rows_of(page, "attention")[2][-1] == "out of memory"
    assert "- `attention` training eager, L = 4096, batch 1: out of memory" in page


def test_mini_batches_are_relative_to_the_authors_sixteen(point):
    points = [point(sweep="mini-batch", mini_batch=k, best_ms=64.0 / k) for k in (1, 16, 64)]
    page = scaling_files(points)["mixer-scaling.md"]
    assert [cell.split()[0] for cell in rows_of(page, "ttt")[0]] == ["16x", "1x", "0.25x"]


def test_a_peer_is_named_by_what_it_computes(point):
    page = scaling_files([point("fla-ttt", machine=GPU)])["mixer-scaling.md"]
    assert f"`fla-ttt`: flash-linear-attention: {FUNCTION}; not TTT-Linear." in page


def test_the_csv_has_a_line_per_point(suite):
    points = suite()
    lines = list(csv.DictReader(io.StringIO(scaling_files(points)["mixer-scaling.csv"])))
    assert len(lines) == len(points)
    assert {line["status"] for line in lines} == {"ok", "out of memory"}


def test_each_machine_and_level_has_a_picture_that_knows_its_numbers(suite):
    pictures = scaling_pictures([*suite(), *suite(machine=GPU)])
    assert sorted(pictures) == [
        "scaling-cpu-test-processor-op-length-float32.png",
        "scaling-cuda-nvidia-h200-op-length-float32.png",
    ]
    for digest, draw in pictures.values():
        assert digest.encode() in draw()


def test_boards_are_built_from_added_points_and_checked(suite, point, tmp_path):
    source, boards = tmp_path / "mixers-cpu.jsonl", tmp_path / "boards"
    append_points(source, suite())
    assert add_scaling(source, boards) == boards / "data" / "scaling" / "mixers-cpu.jsonl"
    names = {path.name for path in build_boards(boards)}
    assert {"mixer-scaling.md", "mixer-scaling.csv", "scaling-cpu-test-processor-op-length-float32.png"} <= names
    assert "(mixer-scaling.md)" in (boards / "README.md").read_text(encoding="utf-8")
    assert check_boards(boards) == len(names)
    append_points(source, [point(best_ms=9.0)])
    add_scaling(source, boards)
    with pytest.raises(IntegrityError, match=r"stale: .*mixer-scaling.md.*png"):
        check_boards(boards)
    assert len(scaling_points(boards / "data")) == len(suite())  # replaced, not added


def test_a_file_without_points_is_not_added(tmp_path):
    with pytest.raises(DataError, match="no point of the scaling suite"):
        add_scaling(tmp_path / "nothing.jsonl", tmp_path)


def test_the_page_of_one_file_is_written_beside_it(suite, tmp_path):
    append_points(tmp_path / "mixers-cpu.jsonl", suite())
    page, no_pictures = write_scaling(tmp_path / "mixers-cpu.jsonl")
    assert (page, no_pictures) == (tmp_path / "mixers-cpu.md", "")
    text = page.read_text(encoding="utf-8")
    picture = next(line for line in text.splitlines() if line.startswith("!["))
    assert (tmp_path / picture.partition("(")[2].rstrip(")")).is_file()


def test_without_matplotlib_the_page_is_written_and_says_what_is_missing(suite, tmp_path, monkeypatch):
    append_points(tmp_path / "mixers-cpu.jsonl", suite())
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    page, no_pictures = write_scaling(tmp_path / "mixers-cpu.jsonl")
    assert page.is_file()
    assert "needs matplotlib" in no_pictures


def test_text_of_records_comes_to_life_nowhere(point):
    files = scaling_files([point(backend={"op": "=cmd|<b>"}, note="<img src=x>|", status="failed"), point(length=2048)])
    hostile = point(backend={"op": "=cmd|<b>x"}, length=197)
    page = scaling_files([hostile])["mixer-scaling.md"]
    assert "<b>" not in page and "<img" not in files["mixer-scaling.md"]
    assert ",=cmd" not in scaling_files([point(note="=cmd", length=197)])["mixer-scaling.csv"]
    with pytest.raises(ValueError, match="mixer"):
        point("a|b <script>")
