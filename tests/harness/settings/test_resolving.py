from typing import Literal

import pytest
from pydantic import Field, model_validator

from auharness import ModelPlugin, Recipe, Settings
from auharness.errors import UsageError
from auharness.settings import default_preset, resolve


class Head(Settings):
    width: int = Field(8, ge=1)
    scales: tuple[float, float] = (1.0, 2.0)


class Net(ModelPlugin):
    name = "net"
    presets = {  # noqa: RUF012  # as an author without annotations would write it  # as plugin authors write it
        "tiny": {"recipe": {"epochs": 2}, "depth": 1},
        "wide": {"head": {"width": 64}},
        "deep": {"depth": 9},
        "same": {"depth": 1},
    }
    by_dataset = {"bp4d": {"margin": 0.1, "depth": 5}}  # noqa: RUF012  # as an author without annotations would write it

    depth: int = 4
    margin: float = 0.3
    mixer: Literal["ttt", "mamba"] = "ttt"
    head: Head = Head(width=16)
    recipe: Recipe = Recipe(lr=5e-4, epochs=30)
    second: Recipe | None = None

    @model_validator(mode="after")
    def _check(self):
        if self.margin > 1:
            raise ValueError("margin and depth do not fit")
        return self

    def build(self, task):
        raise NotImplementedError


def problems(**layer) -> list[str]:
    with pytest.raises(UsageError) as caught:
        resolve(Net, layers=[("flag", layer)])
    return str(caught.value).splitlines()


def test_each_layer_beats_the_ones_below_it():
    layers = [("file", {"depth": 20}), ("environment", {"depth": 21}), ("flag", {"depth": 22})]
    seen = [
        resolve(Net).plugin.depth,
        resolve(Net, dataset="bp4d").plugin.depth,
        resolve(Net, dataset="bp4d", presets=["deep"]).plugin.depth,
        *(resolve(Net, dataset="bp4d", presets=["deep"], layers=layers[:n]).plugin.depth for n in (1, 2, 3)),
    ]
    assert seen == [4, 5, 9, 20, 21, 22]


def test_every_value_has_its_origin():
    found = resolve(Net, dataset="bp4d", presets=["tiny"], layers=[("flag", {"head": {"width": 3}})])
    assert list(found.origins) == list(found.values)
    assert found.origins["margin"] == "by_dataset bp4d"
    assert found.origins["recipe.epochs"] == found.origins["depth"] == "preset tiny"
    assert found.origins["head.width"] == "flag"
    assert found.origins["recipe.lr"] == "default"
    assert found.values["recipe.epochs"] == 2 and found.values["head.width"] == 3


def test_one_setting_of_a_group_leaves_the_plugins_other_defaults():
    recipe = resolve(Net, layers=[("flag", {"recipe": {"batch_size": 7}})]).plugin.recipe
    assert (recipe.batch_size, recipe.lr, recipe.epochs) == (7, 5e-4, 30)


def test_a_group_given_as_an_object_counts_with_the_values_set_in_it():
    recipe = resolve(Net, layers=[("flag", {"recipe": Recipe(batch_size=7)})]).plugin.recipe
    assert (recipe.batch_size, recipe.lr, recipe.epochs) == (7, 5e-4, 30)


def test_an_optional_group_is_switched_on_by_one_of_its_settings():
    assert resolve(Net).plugin.second is None
    second = resolve(Net, layers=[("flag", {"second": {"epochs": 3}})]).plugin.second
    assert second == Recipe(epochs=3)


def test_the_word_none_switches_off_a_setting_that_may_be_none():
    layers = [("file", {"recipe": {"max_steps": 4}}), ("flag", {"recipe": {"max_steps": "none"}})]
    assert resolve(Net, layers=layers[:1]).plugin.recipe.max_steps == 4
    assert resolve(Net, layers=layers).plugin.recipe.max_steps is None


def test_presets_compose_and_may_agree():
    net = resolve(Net, presets=["tiny", "wide", "same"]).plugin
    assert (net.depth, net.head.width, net.recipe.epochs) == (1, 64, 2)


def test_presets_that_disagree_are_an_error_naming_both():
    with pytest.raises(UsageError, match="presets 'tiny' and 'deep' of 'net' disagree on depth: 1 and 9"):
        resolve(Net, presets=["tiny", "deep"])


def test_an_unknown_preset_gets_a_near_miss():
    with pytest.raises(UsageError, match=r"no preset 'tin'; did you mean 'tiny'\? \(presets: paper, tiny, wide"):
        resolve(Net, presets=["tin"])


def test_paper_is_the_defaults_where_the_plugin_does_not_define_it():
    assert resolve(Net, presets=["paper"]).plugin == Net()


def test_the_default_size_is_tiny_on_stand_ins_only():
    assert default_preset(Net, synthetic=True) == "tiny"
    assert default_preset(Net, synthetic=False) == "paper"

    class Plain(Net):
        presets = {}  # noqa: RUF012  # as an author without annotations would write it

    assert default_preset(Plain, synthetic=True) == "paper"


@pytest.mark.parametrize(
    ("layer", "line"),
    [
        ({"depht": 3}, "'net' has no setting 'depht' (flag); did you mean 'depth'? (run: auharness show net)"),
        (
            {"epochs": 3},
            "'net' has no setting 'epochs' (flag); did you mean 'recipe.epochs'? (run: auharness show net)",
        ),
        (
            {"recipe": {"epoch": 3}},
            "'net' has no setting 'recipe.epoch' (flag); did you mean 'recipe.epochs'? (run: auharness show net)",
        ),
        ({"recipe": 3}, "recipe is 3 (flag), expected a group of settings, e.g. recipe.optimiser=..."),
        ({"mixer": "mamb"}, "mixer is 'mamb' (flag), expected 'ttt' or 'mamba'; did you mean 'mamba'?"),
        ({"head": {"width": 0}}, "head.width is 0 (flag), expected greater than or equal to 1"),
        ({"head": {"scales": [1]}}, "head.scales: item 1 (counted from 0) is missing"),
        ({"head": {"scales": [1, "x"]}}, "head.scales is 'x' (flag), expected a valid number, unable to parse string"),
        ({"margin": 2.0}, "'net': margin and depth do not fit"),
    ],
)
def test_a_wrong_setting_is_one_line_with_origin_and_expected(layer, line):
    found = problems(**layer)
    assert len(found) == 1 and found[0].startswith(line)


def test_several_wrong_settings_are_one_line_each():
    assert len(problems(depth="x", mixer="y", recipe={"lr": -1})) == 3


def test_a_missing_required_setting_is_named():
    class Needy(Net):
        root: str

    with pytest.raises(UsageError, match="'net' needs the setting root"):
        resolve(Needy)
    assert resolve(Needy, layers=[("flag", {"root": "x"})]).values["root"] == "x"
