"""Layers that plugins share; token mixers are in `auharness.nn.mixers`."""

from auharness.nn.au_heatmap import au_centres, au_heatmaps, signed_heatmaps
from auharness.nn.encoder import Block, Encoder, Mlp, tokens_per_row
from auharness.nn.msp import MSP
from auharness.nn.patch import PatchEmbed
from auharness.nn.roi import roi_pool, roi_scatter
from auharness.nn.weights import load_matching, resize_positions

__all__ = [
    "MSP",
    "Block",
    "Encoder",
    "Mlp",
    "PatchEmbed",
    "au_centres",
    "au_heatmaps",
    "load_matching",
    "resize_positions",
    "roi_pool",
    "roi_scatter",
    "signed_heatmaps",
    "tokens_per_row",
]
