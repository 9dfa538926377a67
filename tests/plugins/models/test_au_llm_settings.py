"""Settings of au-llm: those of the paper, what is refused, and the language model that must be there before a fold."""

from importlib.util import find_spec

import pytest

from auharness.errors import DataError, UsageError
from auharness.records import Task
from auharness.settings import resolve
from auharness_plugins.models.au_llm import AULLM

pytestmark = pytest.mark.skipif(find_spec("transformers") is None or find_spec("peft") is None, reason="needs `hf`")


def _plugin(*presets, **settings):
    return resolve(AULLM, presets=presets, layers=[("test", settings)]).plugin


def test_section_4_2_implementation_details():
    plugin = _plugin("paper")
    recipe, preprocess = plugin.recipe, plugin.preprocess
    assert (recipe.optimiser, recipe.lr, recipe.weight_decay, recipe.batch_size) == ("adam", 3e-5, 0.005, 256)
    assert (recipe.epochs, recipe.schedule, recipe.threshold, recipe.selection) == (
        350,
        "constant",
        "fixed-0.5",
        "last",
    )
    assert (plugin.lora_rank, plugin.lora_alpha, plugin.lora_dropout) == (16, 32.0, 0.1)
    assert (plugin.gamma_positive, plugin.gamma_negative, plugin.clip) == (0.0, 4.0, 0.05)
    assert (preprocess.frames, preprocess.crop, preprocess.channels, preprocess.sampler) == (6, 64, 1, "uniform")
    assert plugin.augment.temporal_jitter and plugin.augment.flip == 0
    assert plugin.token_place == "first" and plugin.projector_activation != "identity"
    assert AULLM.variants == ("f-high", "f-mid", "efp-minus", "prompt-learning", "all")


def test_the_code_of_the_authors_is_a_preset():
    plugin = _plugin("aullm-released")
    assert (plugin.token_place, plugin.projector_activation, plugin.loss_code) == ("last", "identity", "released")
    assert plugin.reduction == "sum" and _plugin("literal").focusing == "attached"


@pytest.mark.parametrize("frames", [2, 3])
def test_clips_that_leave_nothing_behind_the_filter_are_refused_as_settings(frames):
    with pytest.raises(UsageError, match=r"the 3D-CNN needs 3 frames behind the filter and crops of 16 px, got"):
        _plugin("tiny", preprocess={"frames": frames})
    assert _plugin("tiny", preprocess={"frames": 4}).preprocess.frames == 4


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"backbone": "qwen3"}, "expected qwen2-1.5b"),
        ({"backbone": "tiny-random"}, "set init=none"),
        ({"llm": "none", "prompting": "learned"}, "need a language model"),
    ],
)
def test_settings_that_do_not_fit_are_refused(settings, message):
    with pytest.raises(UsageError, match=message):
        _plugin("paper", **settings)


def test_classes_are_refused():
    plugin = _plugin("tiny")
    with pytest.raises(UsageError, match="detects action units; expected outputs such as AU12, got happy"):
        plugin.build(Task(("happy", "sad"), "clip-multiclass", "made", (1, 1), (2, 2), 48, 6))


def test_random_and_absent_language_models_need_no_file():
    assert [_plugin(name).missing() for name in ("tiny", "no-llm", "random-llm")] == ["", "", ""]


def test_weights_that_are_nowhere_are_missed_without_a_network_and_refused_before_any_fold(tmp_path, monkeypatch):
    monkeypatch.setattr("huggingface_hub.snapshot_download", _no_network)
    text = _plugin("paper").missing()
    assert text.startswith("language model 'deepseek-ai/DeepSeek-R1-Distill-Qwen-1.5B': not on this machine; ")
    assert "--set backbone=hf:FOLDER" in text and "\n" not in text
    with pytest.raises(DataError, match=r"^language model 'deepseek-ai/[^\n]*': no route; .*--set backbone=hf:FOLDER"):
        _plugin("paper").fetch()


def _no_network(*_, local_files_only=False, **__):
    raise FileNotFoundError("not kept") if local_files_only else RuntimeError("no route\nmore of it")


def test_a_folder_must_hold_config_tokeniser_and_weights(tmp_path):
    plugin = _plugin("paper", backbone=f"hf:{tmp_path}")
    for lost in ("config.json", "tokenizer.json", "*.safetensors"):
        assert plugin.missing().startswith(f"language model '{tmp_path}': no {lost} in {tmp_path}; ")
        with pytest.raises(DataError, match="no "):
            plugin.fetch()
        (tmp_path / lost.replace("*", "model")).touch()
    assert plugin.missing() == ""
    plugin.fetch()
    # random weights need the config alone
    (tmp_path / "model.safetensors").unlink()
    assert _plugin("paper", backbone=f"hf:{tmp_path}", init="none").missing() == ""


def test_what_the_hub_has_is_fetched_once_and_found_again(tmp_path, monkeypatch):
    asked = []

    def download(source, *, local_files_only=False, allow_patterns=None, **_):
        if not local_files_only:
            asked.append((source, allow_patterns))
            for name in ("config.json", "tokenizer.json", "model.safetensors"):
                (tmp_path / name).touch()
        elif not any(tmp_path.iterdir()):
            raise FileNotFoundError(source)
        return str(tmp_path)

    monkeypatch.setattr("huggingface_hub.snapshot_download", download)
    plugin = _plugin("paper", "qwen2")
    assert plugin.missing()
    plugin.fetch()
    plugin.fetch()
    assert plugin.missing() == ""
    assert asked == [("Qwen/Qwen2-1.5B", ["*.json", "*.txt", "*.safetensors"])]


def test_a_plan_times_one_step_of_the_small_language_model_and_loads_no_large_one():
    assert [_plugin(name).timed_by_a_step for name in ("tiny", "no-llm", "paper")] == [True, True, False]
