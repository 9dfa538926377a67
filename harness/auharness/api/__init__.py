"""The interfaces that plugins implement; importing this package does not import torch."""

from auharness.api.base import Plugin, Settings
from auharness.api.dataset import DatasetPlugin
from auharness.api.model import ModelPlugin, Output
from auharness.api.protocol import IndexView, ProtocolPlugin
from auharness.api.recipe import Augment, Preprocess, Recipe
from auharness.api.unit import Batch, BatchSource, KeptFrames, Predictor, Unit

__all__ = [
    "Augment",
    "Batch",
    "BatchSource",
    "DatasetPlugin",
    "IndexView",
    "KeptFrames",
    "ModelPlugin",
    "Output",
    "Plugin",
    "Predictor",
    "Preprocess",
    "ProtocolPlugin",
    "Recipe",
    "Settings",
    "Unit",
]
