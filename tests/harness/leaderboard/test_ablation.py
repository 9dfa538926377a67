from collections.abc import Callable
from pathlib import Path

from auharness.leaderboard import write_ablation, write_page
from auharness.results.schema import DataInfo
from auharness.results.store import RunFolder

MakeRun = Callable[..., RunFolder]
VARIANTS = ("baseline", "original-ttt", "msp", "forward-ttt", "bi-ttt", "roi-ttt")
SYNTHETIC = DataInfo(origin="synthetic", verified=None, size="small", manifests={"bp4d": "bb" * 32})


def cells(text: str, variant: str) -> list[str]:
    line = next(line for line in text.splitlines() if line.startswith(f"| {variant} "))
    return [cell.strip() for cell in line.strip("|").split("|")]


def test_each_variant_shows_reported_measured_and_both_steps(tmp_path: Path, make_run: MakeRun) -> None:
    for number, variant in enumerate(VARIANTS):
        make_run(tmp_path, model="au-ttt", preset=f"tiny,{variant}", hit=0.6 + 0.05 * number, data=SYNTHETIC)
    text = write_ablation(tmp_path, "bp4d-3fold", "au-ttt")[0].read_text()
    assert "measured on the synthetic stand-in (tiny; small)" in text
    assert "not comparable with the reported ones" in text
    baseline, bi = cells(text, "baseline"), cells(text, "bi-ttt")
    assert baseline[2:4] == ["58.9", ""]
    assert bi[2:4] == ["61.7", "+0.5"]
    before, measured = float(cells(text, "forward-ttt")[4]), float(bi[4])
    low, high = map(float, bi[5].split(" to "))
    assert low < measured < high
    assert abs(float(bi[6]) - (measured - before)) < 0.011
    assert 0 < float(bi[7]) < 0.05


def test_what_was_not_measured_is_not_available(tmp_path: Path, make_run: MakeRun) -> None:
    make_run(tmp_path, model="au-ttt", preset="paper,baseline")
    text = write_ablation(tmp_path, "bp4d-3fold", "au-ttt")[0].read_text()
    assert cells(text, "msp")[2:] == ["60.4", "+0.3", "n/a", "n/a", "", ""]
    assert cells(text, "baseline")[4] != "n/a"


def test_the_protocol_page_shows_the_reported_ablation_without_any_run(tmp_path: Path) -> None:
    text = write_page(tmp_path, "bp4d-3fold").read_text()
    assert "## Ablation of au-ttt: Table III" in text
    assert cells(text, "roi-ttt")[2:4] == ["62.1", "+0.4"]


def test_a_protocol_without_a_reported_ablation_lists_what_was_measured(tmp_path: Path, make_run: MakeRun) -> None:
    make_run(tmp_path, protocol="disfa-3fold", model="au-ttt", preset="paper,baseline")
    text = write_ablation(tmp_path, "disfa-3fold", "au-ttt")[0].read_text()
    assert "reported" not in text.splitlines()[4]
    assert len(cells(text, "baseline")) == 5
