"""Losses on logits, one per file; -1 in a target means not coded and never counts."""

from auharness.losses.asl import asl, asl_released
from auharness.losses.default import default_loss
from auharness.losses.dice import dice
from auharness.losses.distillation import attention_transfer, hint, similarity_preserving, soft_targets
from auharness.losses.focal import focal
from auharness.losses.heatmap import heatmap_mse
from auharness.losses.masked import masked_mean
from auharness.losses.mdwa import mdwa
from auharness.losses.wdi import wdi
from auharness.losses.weighted_asymmetric import weighted_asymmetric
from auharness.losses.weights import class_weights, inverse_frequency

__all__ = [
    "asl",
    "asl_released",
    "attention_transfer",
    "class_weights",
    "default_loss",
    "dice",
    "focal",
    "heatmap_mse",
    "hint",
    "inverse_frequency",
    "masked_mean",
    "mdwa",
    "similarity_preserving",
    "soft_targets",
    "wdi",
    "weighted_asymmetric",
]
