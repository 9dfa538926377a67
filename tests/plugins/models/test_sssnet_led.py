import torch

from auharness.records import Task
from auharness_plugins.models.sssnet_led import SSSNetLED

CASME2 = tuple(f"AU{au}" for au in (1, 2, 4, 7, 12, 14, 15, 17))
TASK = Task(CASME2, "clip-multilabel", "casme2", (30,) * 8, (240,) * 8, 64, 6)


def _built(**settings):
    plugin = SSSNetLED(**settings)
    torch.manual_seed(0)
    return plugin, plugin.build(TASK)


def test_it_has_2_694_475_parameters_with_8_aus():
    with torch.device("meta"):
        _, module = _built()
    assert sum(value.numel() for value in module.parameters()) == 2_694_475


def test_the_recipe_is_that_of_cd6me():
    recipe = SSSNetLED().recipe
    assert (recipe.optimiser, recipe.lr, recipe.weight_decay, recipe.batch_size) == ("adam", 1e-4, 1e-3, 64)
    assert (recipe.epochs, recipe.schedule, SSSNetLED().dropout) == (400, "constant", 0.5)


def test_the_constants_of_led_learn_at_a_rate_of_a_tenth():
    plugin, module = _built(widths=(3, 4), hidden=8)
    rates = {
        id(value): plugin.recipe.lr * group.get("lr_scale", 1.0)
        for group in plugin.parameter_groups(module)
        for value in group["params"]
    }
    for name, value in module.named_parameters():
        assert abs(rates[id(value)] - (0.1 if name.startswith("led.") else 1e-4)) < 1e-12


def test_two_still_faces_look_alike_and_a_moving_one_does_not():
    _, module = _built(widths=(3, 4), hidden=8)
    module.eval()
    faces = torch.rand(2, 1, 1, 64, 64).repeat(1, 6, 1, 1, 1)
    still = module(faces)
    assert torch.equal(still[0], still[1])
    faces[1, 3] = faces[1, 3].roll(1, dims=-1)
    moved = module(faces)
    assert torch.equal(moved[0], still[0]) and (moved[1] - still[1]).abs().max() > 1e-4
