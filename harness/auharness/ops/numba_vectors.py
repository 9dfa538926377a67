"""Vectors of float32 for compiled CPU kernels: a type that numba keeps in one register, with loads, stores and sums.

Numba's own loops become vector instructions only where LLVM can prove that no arrays overlap, and it tests that at run
time before every short loop; with the type spelt out there is nothing to prove. Vectors and single float32 mix in
arithmetic, a function written for one also serves the other.
"""

import operator
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any, Final, TypeVar, cast
from zlib import crc32

from llvmlite import ir
from numba import njit, types
from numba.core.registry import cpu_target
from numba.extending import intrinsic, lower_builtin, models, register_model, type_callable

__all__ = ["WIDTH", "chosen", "compiled", "load", "spread", "spread_from", "store", "times_power", "total"]

_Function = TypeVar("_Function", bound=Callable[..., Any])

WIDTH: Final = 16 if "+avx512f" in cpu_target.target_context.codegen().magic_tuple()[2] else 8
"""Numbers in a vector: what a register holds, but at least two of the narrowest."""

_OPTIONS: Final = {"nogil": True, "error_model": "numpy", "fastmath": {"contract"}}


def compiled(function: _Function) -> _Function:
    """Compile at the first call, to run without the interpreter lock; keep the code on disk if there is a place for it.

    Multiplication and addition may fuse, nothing else may change. The code on disk is renewed when any `numba_*.py`
    beside this file or beside that of `function` changes.
    """
    # numba itself looks at the file of `function` only, and names the code on disk after this
    function.__qualname__ += f"-{_edition(Path(function.__code__.co_filename).parent)}"
    try:
        return cast(_Function, njit(cache=True, **_OPTIONS)(function))
    except RuntimeError:  # no folder can be written
        return cast(_Function, njit(**_OPTIONS)(function))


@cache
def _edition(folder: Path) -> str:
    files = {*Path(__file__).parent.glob("numba_*.py"), *folder.glob("numba_*.py")}
    return f"{crc32(b''.join(file.read_bytes() for file in sorted(files))):08x}"


def _instruction(emitter: Callable[..., Any]) -> Callable[..., Any]:
    """Turn a function that emits machine code into one that compiled functions call."""
    return cast(Callable[..., Any], intrinsic(emitter))


class _VectorType(types.Type):  # type: ignore[misc]  # numba is untyped
    def __init__(self) -> None:
        super().__init__(name=f"float32 x {WIDTH}")


_VECTOR: Final = _VectorType()
_FLOAT, _INT = ir.FloatType(), ir.IntType(32)
_FLOATS, _INTS = ir.VectorType(_FLOAT, WIDTH), ir.VectorType(_INT, WIDTH)
_PAIRS: Final = ((_VECTOR, _VECTOR), (_VECTOR, types.float32), (types.float32, _VECTOR))


@register_model(_VectorType)
class _VectorModel(models.PrimitiveModel):  # type: ignore[misc]  # numba is untyped
    def __init__(self, manager: Any, kind: Any) -> None:
        super().__init__(manager, kind, _FLOATS)


@_instruction
def load(typing: Any, array: Any, index: Any) -> Any:
    """Return the `WIDTH` numbers from `array[index]`; the array is one-dimensional and contiguous, or a pointer."""

    def emit(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        place = builder.bitcast(_place(context, builder, signature, args), _FLOATS.as_pointer())
        return builder.load(place, align=4)

    return _VECTOR(array, types.intp), emit


@_instruction
def store(typing: Any, array: Any, index: Any, x: Any) -> Any:
    """Write the vector `x` to `array[index]` and on."""

    def emit(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        place = builder.bitcast(_place(context, builder, signature, args), _FLOATS.as_pointer())
        builder.store(args[2], place, align=4)
        return context.get_dummy_value()

    return types.void(array, types.intp, _VECTOR), emit


@_instruction
def spread(typing: Any, x: Any) -> Any:
    """Return a vector with the float32 `x` in every lane."""
    return _VECTOR(types.float32), lambda context, builder, signature, args: _spread(builder, args[0])


@_instruction
def spread_from(typing: Any, array: Any, index: Any) -> Any:
    """Return a vector with `array[index]` in every lane."""

    def emit(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        return _spread(builder, builder.load(_place(context, builder, signature, args), align=4))

    return _VECTOR(array, types.intp), emit


@_instruction
def total(typing: Any, x: Any) -> Any:
    """Return the sum of the lanes, added in pairs."""

    def emit(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        (x,), lanes = args, WIDTH
        while lanes > 1:
            lanes //= 2
            low, high = (_shuffled(builder, x, list(range(start, start + lanes))) for start in (0, lanes))
            x = builder.fadd(low, high)
        return builder.extract_element(x, ir.Constant(_INT, 0))

    return types.float32(_VECTOR), emit


@_instruction
def chosen(typing: Any, x: Any, bound: Any, below: Any, other: Any) -> Any:
    """Return `below` where `x < bound`, `other` elsewhere and where one of them is NaN; vectors or float32."""
    kinds = x, bound, below, other
    result = _VECTOR if _VECTOR in kinds else types.float32

    def emit(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        x, bound, below, other = _alike(builder, signature, args)
        return builder.select(builder.fcmp_ordered("<", x, bound), below, other)

    return result(*kinds), emit


@_instruction
def times_power(typing: Any, x: Any, shifted: Any) -> Any:
    """Return `x 2^k` by adding k, the low bits of `shifted`, to the exponent; the result must be a normal number."""

    def emit(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        wide = signature.return_type is _VECTOR
        floats, ints = (_FLOATS, _INTS) if wide else (_FLOAT, _INT)
        exponent = ir.Constant(ints, [23] * WIDTH if wide else 23)
        x, shifted = (builder.bitcast(arg, ints) for arg in _alike(builder, signature, args))
        return builder.bitcast(builder.add(x, builder.shl(shifted, exponent)), floats)

    return (_VECTOR if _VECTOR in (x, shifted) else types.float32)(x, shifted), emit


def _place(context: Any, builder: Any, signature: Any, args: Any) -> Any:
    """Return the address of `args[0][args[1]]`; unlike in Python a negative index is not counted from the end."""
    kind, first = signature.args[0], args[0]
    if isinstance(kind, types.Array):
        first = context.make_array(kind)(context, builder, first).data
    return builder.gep(first, [args[1]])


def _shuffled(builder: Any, x: Any, lanes: list[int]) -> Any:
    return builder.shuffle_vector(x, x, ir.Constant(ir.VectorType(_INT, len(lanes)), lanes))


def _spread(builder: Any, x: Any) -> Any:
    one = builder.insert_element(ir.Constant(_FLOATS, ir.Undefined), x, ir.Constant(_INT, 0))
    return _shuffled(builder, one, [0] * WIDTH)


def _alike(builder: Any, signature: Any, args: Any) -> list[Any]:
    """Return the arguments with the single numbers spread, if there is a vector among them."""
    if _VECTOR not in signature.args:
        return list(args)
    return [x if kind is _VECTOR else _spread(builder, x) for x, kind in zip(args, signature.args, strict=True)]


def _elementwise(symbol: Callable[..., Any], instruction: str) -> None:
    """Let `symbol` work on two vectors, or a vector and a float32, in compiled functions."""

    def typed(context: Any) -> Callable[..., Any]:
        return lambda x, y: _VECTOR if (x, y) in _PAIRS else None

    def emit(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        return getattr(builder, instruction)(*_alike(builder, signature, args), flags=("contract",))

    type_callable(symbol)(typed)
    for pair in _PAIRS:
        lower_builtin(symbol, *pair)(emit)


_elementwise(operator.add, "fadd")
_elementwise(operator.iadd, "fadd")
_elementwise(operator.sub, "fsub")
_elementwise(operator.mul, "fmul")
_elementwise(operator.truediv, "fdiv")
