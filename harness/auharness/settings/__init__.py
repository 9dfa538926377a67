"""Settings from defaults, datasets, presets, files, environment and flags, each with the place it came from.

Precedence, strongest first: flag, environment, file, preset, by_dataset, paper default.

The same setting `recipe.epochs` in each place:
    flag: `--set recipe.epochs=6`
    environment: `AUHARNESS_SET__RECIPE__EPOCHS=6` (`__` stands for the dot; names are read in lower case)
    file: `epochs = 6` below `[model.recipe]`
    preset and by_dataset: `{"recipe": {"epochs": 6}}`
"""

from auharness.settings.resolving import Resolved, default_preset, resolve
from auharness.settings.sources import environment_settings, flat_settings, parse_set, read_toml, refuse_unending

__all__ = [
    "Resolved",
    "default_preset",
    "environment_settings",
    "flat_settings",
    "parse_set",
    "read_toml",
    "refuse_unending",
    "resolve",
]
