"""One network built before the first unit starts, so that settings or weights that fit none stop the run, not units."""

import torch

from auharness.api import ModelPlugin
from auharness.data.index import Index
from auharness.errors import AuharnessError, UsageError
from auharness.records import Fold
from auharness.runner.inputs import Inputs
from auharness.runner.parts import make_task
from auharness.runner.weights import read_weights

__all__ = ["try_network"]


def try_network(plugin: ModelPlugin, index: Index, fold: Fold, inputs: Inputs) -> None:
    """Build the network of one fold, give it the starting weights, and forget it.

    A model that shares something large among its units (`ModelPlugin.shared`) is not built here.

    Args:
        plugin: the model with its resolved settings.
        index: all rows.
        fold: any of the planned ones.
        inputs: protocol, datasets and request.

    Raises:
        UsageError: if no network can be built from the settings.
        DataError: if the starting weights do not fit it.
    """
    if type(plugin).shared is not ModelPlugin.shared:
        return
    protocol, path = inputs.protocol, inputs.request.weights
    outputs = dict.fromkeys(output for name in protocol.train_on for output in inputs.datasets[name].outputs)
    labels = index.labels(tuple(outputs))
    rows = index.rows(fold.train_ids, key=protocol.key)
    task = make_task(index, tuple(outputs), rows, labels=labels, plugin=plugin, protocol=protocol)
    try:
        # the units draw their own random numbers
        with torch.random.fork_rng(devices=[]):
            module = plugin.build(task)
    except AuharnessError:
        raise
    except Exception as error:  # whatever a stranger's network says to settings that it was not made for
        said = " ".join(str(error).split())
        raise UsageError(
            f"{plugin.name}: no network can be built from these settings ({type(error).__name__}: {said:.200}); see "
            f"'auharness show {plugin.name}' for all of them, AUHARNESS_TRACE=1 for the place"
        ) from error
    if path is not None:
        plugin.load_weights(module, read_weights(path))
