"""The rules of counting, one torch operator at a time; `README.md` beside this file states and justifies them.

Products (matrices, convolutions) are counted by `torch.utils.flop_counter`, with the formulas that it lacks added here.
Everything else has a rule here that does not depend on how an implementation fuses the same arithmetic: a bias inside
a matrix product costs what an addition after it costs.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from math import ceil, log2, prod
from types import MappingProxyType
from typing import Any, Final

import torch
from torch import Tensor
from torch.utils.flop_counter import flop_registry

__all__ = ["PRODUCTS", "Call", "is_view", "other_flops"]

_NORM = 5
_SOFTMAX = 5
_RNN_CELL = {0: 2, 1: 2, 2: 13, 3: 10}
"""Pointwise operations per hidden unit and step, without biases: relu and tanh RNN, LSTM, GRU (cuDNN's numbers)."""


def _sdpa(query: Sequence[int], key: Sequence[int], value: Sequence[int], *args: Any, **kwargs: Any) -> int:
    return 2 * prod(query[:-1]) * key[-2] * (query[-1] + value[-1])


def _matrix_vector(matrix: Sequence[int], vector: Sequence[int], *args: Any, **kwargs: Any) -> int:
    return 2 * prod(matrix)


def _onednn_rnn(x: Sequence[int], *weights: Any, **kwargs: Any) -> int:
    # every entry of both matrices meets every token once
    return 2 * prod(x[:-1]) * sum(prod(weight) for weight in weights[:2])


def _cudnn_rnn(x: Sequence[int], weights: Sequence[Sequence[int]], *args: Any, **kwargs: Any) -> int:
    return 2 * prod(x[:-1]) * sum(prod(weight) for weight in weights if len(weight) == 2)


_aten: Any = torch.ops.aten
PRODUCTS: Final[Mapping[Any, Callable[..., int]]] = MappingProxyType(
    {
        _aten._scaled_dot_product_flash_attention_for_cpu: _sdpa,
        _aten.mv: _matrix_vector,
        _aten.dot: _matrix_vector,
        _aten.addmv: lambda bias, *matrix_and_vector, **kwargs: _matrix_vector(*matrix_and_vector),
        _aten.mkldnn_rnn_layer: _onednn_rnn,
        _aten._cudnn_rnn: _cudnn_rnn,
    }
)
"""FLOPs of products that torch's counter has no formula for, by operator, from the shapes of the arguments."""


@dataclass(frozen=True)
class Call:
    """One call of a torch operator: what it was given and what it returned."""

    func: Any
    args: tuple[Any, ...]
    kwargs: Mapping[str, Any]
    out: Any

    def argument(self, name: str) -> Any:
        """Return an argument by its name in the operator's schema."""
        for place, argument in enumerate(self.func._schema.arguments):
            if argument.name == name:
                return self.args[place] if place < len(self.args) else self.kwargs.get(name, argument.default_value)
        raise KeyError(name)

    @property
    def made(self) -> int:
        """Elements of the first tensor that is returned."""
        first = self.out[0] if isinstance(self.out, (tuple, list)) else self.out
        return first.numel() if isinstance(first, Tensor) else 0

    @property
    def read(self) -> int:
        """Elements of the first tensor that is given."""
        return next((x.numel() for x in (*self.args, *self.kwargs.values()) if isinstance(x, Tensor)), 0)


_Rule = Callable[[Call], int]


@cache
def is_view(func: Any) -> bool:
    """Return whether an operator only looks at its argument in another way, in place or not."""
    tags = getattr(func, "tags", ())
    return getattr(func, "is_view", False) or torch.Tag.inplace_view in tags or func is _aten._unsafe_view.default


def other_flops(call: Call) -> int | None:
    """Return the FLOPs of a call beside 2 per MAC, or None if there is no rule for it."""
    rule = _rule(call.func)
    return None if rule is None else rule(call)


@cache
def _rule(func: Any) -> _Rule | None:
    """Return the rule of an operator: by name, else by the tags that torch gives it, else none for products."""
    packet = getattr(func, "overloadpacket", func)
    # `add_` costs what `add` costs; an operator of another library costs what it says, whatever its name
    name = packet.__name__.removesuffix("_") if getattr(func, "namespace", "") == "aten" else ""
    if name in _BY_NAME:
        return _BY_NAME[name]
    if torch.Tag.reduction in getattr(func, "tags", ()):
        return lambda call: call.read
    if any(_is_pointwise(variant) for variant in (packet, getattr(_aten, name, None) if name else None)):
        return lambda call: call.made
    return _nothing if packet in flop_registry or packet in PRODUCTS else None


def _is_pointwise(packet: Any) -> bool:
    # torch tags some overloads only
    overloads = [getattr(packet, overload) for overload in packet.overloads()] if hasattr(packet, "overloads") else []
    return any(torch.Tag.pointwise in o.tags and torch.Tag.reduction not in o.tags for o in overloads)


def _nothing(call: Call) -> int:
    return 0


def _added(name: str) -> _Rule:
    """One addition per output where the operator is given this bias."""
    return lambda call: call.made if call.argument(name) is not None else 0


def _accumulated(call: Call) -> int:
    return call.made if call.argument("beta") != 0 else 0


def _attention(call: Call) -> int:
    query, key = call.args[:2]
    scores = prod(query.shape[:-1]) * key.shape[-2]
    names = {argument.name for argument in call.func._schema.arguments}
    masks = [call.argument(name) for name in ("is_causal", "attn_mask", "attn_bias") if name in names]
    # scaled, masked, and a softmax
    return scores * (1 + sum(mask is not None and mask is not False for mask in masks) + _SOFTMAX)


def _window(call: Call) -> int:
    """One operation per element that a pooling window covers."""
    name = call.func.overloadpacket.__name__
    axes = int(name[name.index("pool") + len("pool")])
    kernel = list(call.args[1])
    return call.made * prod(kernel * axes if len(kernel) == 1 else kernel)


def _onednn_rnn_rest(call: Call) -> int:
    hidden, biases = call.argument("hidden_size"), call.argument("has_biases")
    per_token = hidden * _RNN_CELL[call.argument("mode")] + (2 * call.args[1].shape[0] if biases else 0)
    return prod(call.args[0].shape[:-1]) * per_token


def _cudnn_rnn_rest(call: Call) -> int:
    layers = call.argument("num_layers") * (2 if call.argument("bidirectional") else 1)
    biases = sum(weight.numel() for weight in call.args[1] if weight.ndim == 1)
    per_token = layers * call.argument("hidden_size") * _RNN_CELL[call.argument("mode")] + biases
    return prod(call.args[0].shape[:-1]) * per_token


def _fourier(call: Call) -> int:
    """5 N log2 N of a complex transform of N points, as of radix 2, and half of it where one side is real."""
    x, axes = call.args[0], call.args[1]
    points = x.numel() if call.func.overloadpacket.__name__ != "_fft_c2r" else call.made
    steps = sum(log2(max(x.shape[axis], 2)) for axis in axes)
    return round(points * steps * (5 if call.func.overloadpacket.__name__ == "_fft_c2c" else 2.5))


def _bisected(call: Call) -> int:
    """One comparison per halving of the sorted values."""
    return int(call.made * ceil(log2(max(call.args[0].shape[-1], 2))))


def _times(factor: int, *, read: bool = False) -> _Rule:
    return lambda call: factor * (call.read if read else call.made)


def _names(words: str) -> list[str]:
    return words.split()


# copies, casts, gathers, constants: they move or write numbers and compute none
_MOVES = _names("""
    _reshape_copy _to_copy _unsafe_index alias_copy arange as_strided_copy cat clone constant_pad_nd
    contiguous copy diag_embed embedding empty empty_like empty_permuted empty_strided expand_copy eye fill flip full
    full_like gather index index_copy index_fill index_put index_select lift_fresh_copy linspace masked_scatter
    masked_select new_empty new_empty_strided new_full new_ones new_zeros one_hot ones ones_like permute_copy
    pixel_shuffle pixel_unshuffle reflection_pad1d reflection_pad2d reflection_pad3d repeat repeat_interleave
    replication_pad1d replication_pad2d replication_pad3d resize roll scalar_tensor scatter select_copy
    select_scatter slice_copy slice_scatter split_copy split_with_sizes_copy stack t_copy take transpose_copy tril
    tril_indices triu triu_indices unbind_copy unfold_copy unsafe_chunk unsafe_split unsafe_split_with_sizes
    upsample_nearest1d upsample_nearest2d upsample_nearest3d view_copy zero zeros zeros_like
""")

_NORMS = _names("""
    _batch_norm_no_update _batch_norm_with_update _fused_rms_norm _native_batch_norm_legit
    _native_batch_norm_legit_no_training cudnn_batch_norm miopen_batch_norm native_batch_norm native_group_norm
    native_layer_norm
""")

_ATTENTIONS = _names("""
    _scaled_dot_product_cudnn_attention _scaled_dot_product_efficient_attention _scaled_dot_product_flash_attention
    _scaled_dot_product_flash_attention_for_cpu
""")

# pointwise, but torch does not tag them
_POINTWISE = _names("_prelu_kernel glu hardswish log_sigmoid_forward native_dropout prelu rrelu_with_noise")

_BY_NAME: Final[Mapping[str, _Rule]] = MappingProxyType(
    {
        **dict.fromkeys(_MOVES, _nothing),
        **dict.fromkeys(_NORMS, _times(_NORM)),
        **dict.fromkeys(_ATTENTIONS, _attention),
        **dict.fromkeys(_POINTWISE, _times(1)),
        **dict.fromkeys(("_softmax", "_log_softmax", "_safe_softmax", "_masked_softmax"), _times(_SOFTMAX)),
        **dict.fromkeys(("addmm", "addmv", "baddbmm"), _accumulated),
        **dict.fromkeys(("convolution", "_convolution", "convolution_overrideable"), _added("bias")),
        # a square and a sum; mean and centring are counted where a normalisation does them
        **dict.fromkeys(("var", "var_mean", "std", "std_mean", "linalg_vector_norm", "norm"), _times(2, read=True)),
        "logsumexp": _times(4, read=True),
        **dict.fromkeys(("cumsum", "cumprod"), _times(1)),
        **dict.fromkeys(("_adaptive_avg_pool2d", "_adaptive_avg_pool3d"), _times(1, read=True)),
        **dict.fromkeys(("adaptive_max_pool2d", "adaptive_max_pool3d"), _times(1, read=True)),
        **dict.fromkeys(("avg_pool2d", "avg_pool3d"), _window),
        **dict.fromkeys(("max_pool2d_with_indices", "max_pool3d_with_indices"), _window),
        # weighted means of 2, 4, 8 and 16 neighbours
        "upsample_linear1d": _times(3),
        **dict.fromkeys(("upsample_bilinear2d", "grid_sampler_2d"), _times(7)),
        "upsample_trilinear3d": _times(15),
        "upsample_bicubic2d": _times(31),
        **dict.fromkeys(("_fft_r2c", "_fft_c2r", "_fft_c2c"), _fourier),
        "searchsorted": _bisected,
        # one addition per number that is added in
        "scatter_add": lambda call: call.args[3].numel(),
        # the norm of each row, a square and a sum, then one scale per weight
        "_weight_norm_interface": lambda call: 3 * call.args[0].numel(),
        "mkldnn_rnn_layer": _onednn_rnn_rest,
        "_cudnn_rnn": _cudnn_rnn_rest,
    }
)
