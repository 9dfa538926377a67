"""Which network a case is, and for which labels it is built."""

import json

import pytest

from auharness import registry
from auharness.bench.case import Case, accepting
from auharness.bench.naming import network_digest
from auharness.errors import UsageError
from auharness.settings import resolve


def network(*presets, **settings):
    plugin = resolve(registry.load("model", "au-ttt"), presets=presets, layers=[("test", settings)]).plugin
    return network_digest(plugin.model_dump(mode="json"))


def test_what_only_training_or_reading_sees_is_the_same_network():
    same = {"recipe": {"epochs": 3}, "augment": {"flip": 0.0}, "init": "none", "preprocess": {"landmarks": "haar"}}
    assert network("paper", **same) == network("paper")


@pytest.mark.parametrize("settings", [{"mixer": "mamba"}, {"preprocess": {"crop": 192}}, {"depth": 6}], ids=str)
def test_what_the_network_is_made_of_makes_it_another_one(settings):
    assert network("paper", **settings) != network("paper")


def test_a_record_names_the_network_that_was_counted(run_mini):
    folder = run_mini(settings={"recipe": {"epochs": 1}}, folds="P1").path
    unit = json.loads(next(folder.glob("units/*/unit.json")).read_text())
    counted = Case("small-cnn", ("tiny",), "bp4d").subject()
    assert network_digest(unit["settings"]) == counted.network
    assert tuple(unit["outputs"]) == counted.task.outputs


def test_the_outputs_are_the_labels_of_the_data_set():
    assert Case("small-cnn", ("tiny",), "bp4d").subject().task.num_outputs == 12
    assert Case("small-cnn", ("tiny",), "disfa").subject().task.num_outputs == 8
    assert Case("mamba-dfer", ("tiny",), "dfew").subject().task.outputs[0] == "Happy"


def test_models_meet_the_labels_that_a_run_would_give_them():
    assert list(accepting("au-ttt", ("tiny",))) == ["bp4d", "disfa", "affwild2"]
    assert list(accepting("au-llm", ("tiny",))) == ["casme2", "samm"]
    assert list(accepting("mamba-dfer", ("tiny",))) == ["dfew"]


def test_a_side_scales_the_margin_too_and_the_samples_of_a_batch():
    subject = Case("vit-s16", ("paper",), "bp4d", side=448).subject()
    assert (subject.plugin.preprocess.crop, subject.plugin.preprocess.resize) == (448, 512)
    assert subject.inputs("meta", batch=3)["image"].shape == (3, 3, 448, 448)


def test_an_unknown_setting_is_refused():
    with pytest.raises(UsageError, match="'small-cnn' has no setting 'dept'"):
        Case("small-cnn", ("tiny",), "bp4d", {"dept": 1}).subject()
