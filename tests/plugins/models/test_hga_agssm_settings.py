"""Settings of hga-agssm: those of the paper, and what is refused or missing before data are read."""

from importlib.util import find_spec

import pytest

from auharness.errors import DataError, UsageError
from auharness.settings import resolve
from auharness.testing import fake_task
from auharness_plugins.models.hga_agssm import HGAAGSSM

needs_hf = pytest.mark.skipif(find_spec("transformers") is None or find_spec("peft") is None, reason="needs `hf`")


def _plugin(*presets, **settings):
    return resolve(HGAAGSSM, presets=presets, layers=[("test", settings)]).plugin


def test_section_4():
    plugin = _plugin("paper")
    recipe, preprocess = plugin.recipe, plugin.preprocess
    assert (recipe.optimiser, recipe.lr, recipe.weight_decay, recipe.batch_size) == ("adamw", 2e-4, 1e-4, 16)
    assert (recipe.schedule, recipe.warmup * recipe.epochs, plugin.adapter_lr) == ("cosine", 5, 1e-5)
    assert (preprocess.frames, preprocess.crop, preprocess.landmarks) == (256, 224, "mediapipe")
    assert (plugin.state_size, plugin.inner, plugin.heads, plugin.dim) == (16, 64, 8, 768)
    assert (plugin.gamma_positive, plugin.gamma_negative, plugin.margin, plugin.discretization) == (1, 4, 0.05, "zoh")
    assert (plugin.vision, plugin.sound, plugin.mixer) == ("dinov2-vitl14", "wavlm-large", "agssm")


def test_table_1_adds_one_thing_at_a_time():
    assert HGAAGSSM.variants == ("baseline", "fm", "hga", "ag-ssm", "full")
    rows = [_plugin(row) for row in HGAAGSSM.variants]
    said = [(row.encoders, row.align_regions, row.mixer, row.loss_code) for row in rows]
    assert said == [
        ("baseline", False, "tcn", "bce"),
        ("foundation", False, "tcn", "bce"),
        ("foundation", True, "tcn", "bce"),
        ("foundation", True, "agssm", "bce"),
        ("foundation", True, "agssm", "asl"),
    ]


def test_only_a_frozen_encoder_and_pictures_as_they_are_can_be_kept():
    with pytest.raises(UsageError, match="expected a frozen frame encoder, got conv, which learns"):
        _plugin("tiny", "cached")
    with pytest.raises(UsageError, match="that nothing varies; add the preset cached"):
        _plugin(tuning="cached")
    assert _plugin("cached").augment.windows == _plugin("paper").augment.windows == 18


def test_other_tasks_and_settings_are_refused():
    plugin = _plugin("tiny")
    with pytest.raises(UsageError, match="expected frame-multilabel, got clip-multilabel"):
        plugin.build(fake_task(plugin, "clip-multilabel"))
    with pytest.raises(UsageError, match="did you mean 'dinov2-vitl14'"):
        _plugin(vision="dinov2-vitl")
    with pytest.raises(UsageError, match="expected wavlm-large"):
        _plugin(baseline_sound="vit-b16")
    with pytest.raises(UsageError, match="multiple of heads"):
        _plugin(heads=5)


def test_missing_transformers_is_said_before_data_is_read(monkeypatch):
    monkeypatch.setattr("auharness.nn.language_model.find_spec", lambda name: None)
    with pytest.raises(DataError, match=r"the encoder dinov2-vitl14 needs transformers and peft"):
        _plugin("paper").check_ready(origin="licensed", weights=False)
    _plugin("tiny").check_ready(origin="synthetic", weights=False)


def test_what_is_missing_is_said_before_data_are_read(tmp_path):
    folder = f"hf:{tmp_path}"
    paper = _plugin("paper", vision=folder)
    assert paper.missing().startswith(f"encoder '{tmp_path}': no config.json in {tmp_path}")
    with pytest.raises(DataError, match=r"no config\.json"):
        paper.fetch()
    tiny = _plugin("tiny")
    assert tiny.missing() == ""
    tiny.fetch()


@needs_hf
def test_sides_that_do_not_fit_are_refused_before_data_are_read():
    for plugin, message in [
        (_plugin(preprocess={"crop": 220}), "no multiple of the patch of 14 px"),
        (_plugin("tiny", preprocess={"resize": 70, "crop": 60}), "no multiple of the patch of 8 px"),
        (_plugin("cached", kept_grid=3), "kept_grid is 3, expected a divisor of the 16"),
    ]:
        with pytest.raises(UsageError, match=message):
            plugin.check_ready(origin="licensed", weights=False)
