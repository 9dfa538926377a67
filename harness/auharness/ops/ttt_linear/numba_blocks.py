"""Blocks of working memory for the compiled kernels: products of matrices and transposes, in vectors held in registers.

All working memory is one stretch `m` of float32 numbers. A block in it is named by the index of its first number; its
rows lie a fixed distance apart and are padded to whole vectors.
"""

from collections.abc import Callable
from typing import Any, Final, TypeVar, cast

from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic, register_jitable

from auharness.ops.numba_vectors import WIDTH, compiled, load, store

__all__ = [
    "TALL",
    "add_lower",
    "add_lower_turned",
    "address",
    "copy",
    "fetch",
    "fill",
    "first",
    "padded",
    "pour",
    "product",
    "turn",
]

_Function = TypeVar("_Function", bound=Callable[..., Any])

# what a product keeps in registers: rows of one vector, or fewer rows of several vectors beside each other
TALL: Final = 8
_SEVERAL: Final = 4 if WIDTH == 16 else 2
_SEVERAL_WIDTH: Final = _SEVERAL * WIDTH

_NUMBERS: Final = types.CPointer(types.float32)
_VECTOR: Final = ir.VectorType(ir.FloatType(), WIDTH)
_LANE: Final = ir.IntType(32)
_ADDRESS: Final = ir.IntType(64)
_BYTE: Final = ir.IntType(8).as_pointer()
_VECTOR_BYTES: Final = 4 * WIDTH
_ZEROS: Final = ir.Constant(_VECTOR, None)
_FUSED: Final = ("contract",)


def _part(function: _Function) -> _Function:
    """Let compiled functions call this one too."""
    return cast(_Function, register_jitable(function))


def _instruction(emitter: Callable[..., Any]) -> Callable[..., Any]:
    """Turn a function that emits machine code into one that compiled functions call."""
    return cast(Callable[..., Any], intrinsic(emitter))


@_part
def padded(count: int) -> int:
    """Return `count` rounded up to whole vectors."""
    return -(-count // WIDTH) * WIDTH


@_instruction
def address(typing: Any, start: Any, offset: Any) -> Any:
    """Return the float32 numbers that lie `offset` numbers behind the address `start`."""

    def emit(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        return builder.gep(builder.inttoptr(args[0], ir.FloatType().as_pointer()), [args[1]])

    return _NUMBERS(types.intp, types.intp), emit


@compiled
def copy(to: Any, start: int, numbers: Any, index: int, count: int) -> None:
    """Copy `count` numbers, none beyond them."""
    whole = count - count % WIDTH
    for j in range(0, whole, WIDTH):
        store(to, start + j, load(numbers, index + j))
    for j in range(whole, count):
        to[start + j] = numbers[index + j]


@_instruction
def fetch(typing: Any, numbers: Any, index: Any) -> Any:
    """Ask for the cache line of `numbers[index]`, to be in the second level when it is read."""

    def emit(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        place = builder.bitcast(builder.gep(args[0], [args[1]]), _BYTE)
        kind = ir.FunctionType(ir.VoidType(), [_BYTE, _LANE, _LANE, _LANE])
        instruction = builder.module.declare_intrinsic("llvm.prefetch", [_BYTE], kind)
        to_read, second_level, data = (ir.Constant(_LANE, number) for number in (0, 2, 1))
        builder.call(instruction, [place, to_read, second_level, data])
        return context.get_dummy_value()

    return types.void(_NUMBERS, types.intp), emit


@_instruction
def _pour_vector(typing: Any, to: Any, start: Any, numbers: Any, index: Any) -> Any:
    def emit(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        x = builder.load(_at(builder, args[2], args[3]), align=4)
        written = builder.store(x, _at(builder, args[0], args[1]), align=_VECTOR_BYTES)
        written.set_metadata("nontemporal", builder.module.add_metadata([ir.Constant(_LANE, 1)]))
        return context.get_dummy_value()

    return types.void(_NUMBERS, types.intp, _NUMBERS, types.intp), emit


@_instruction
def _place_in_vector(typing: Any, numbers: Any) -> Any:
    def emit(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        place = builder.ptrtoint(args[0], _ADDRESS)
        return builder.and_(place, ir.Constant(_ADDRESS, _VECTOR_BYTES - 1))

    return types.int64(_NUMBERS), emit


@compiled
def pour(to: Any, numbers: Any, index: int, count: int) -> None:
    """Copy `count` numbers that nobody reads soon to `to`: past the cache if they are whole, aligned vectors.

    A common store first reads the line that it writes. Other threads see these stores once this one has taken any lock.
    """
    if count % WIDTH or _place_in_vector(to):
        copy(to, 0, numbers, index, count)
    else:
        for j in range(0, count, WIDTH):
            _pour_vector(to, j, numbers, index + j)


@compiled
def fill(m: Any, start: int, count: int, value: Any) -> None:
    """Write `value` to `count` numbers."""
    for i in range(start, start + count):
        m[i] = value


def _spread(builder: Any, x: Any) -> Any:
    vector = ir.Constant(ir.VectorType(x.type, WIDTH), ir.Undefined)
    vector = builder.insert_element(vector, x, ir.Constant(_LANE, 0))
    return builder.shuffle_vector(vector, vector, _lanes([0] * WIDTH))


def _lanes(numbers: list[int]) -> Any:
    return ir.Constant(ir.VectorType(_LANE, WIDTH), numbers)


def _behind(builder: Any, start: Any, count: int, distance: Any) -> Any:
    return builder.add(start, builder.mul(distance, ir.Constant(distance.type, count)))


def _at(builder: Any, m: Any, index: Any) -> Any:
    return builder.bitcast(builder.gep(m, [index]), _VECTOR.as_pointer())


@_instruction
def first(typing: Any, x: Any, count: Any) -> Any:
    """Return the first `count` numbers of a vector, zeros behind them."""

    def emit(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        count = _spread(builder, builder.trunc(args[1], _LANE))
        return builder.select(builder.icmp_signed("<", _lanes(list(range(WIDTH))), count), args[0], _ZEROS)

    return x(x, types.intp), emit


@_instruction
def _turn_square(typing: Any, m: Any, to: Any, to_row: Any, start: Any, row: Any) -> Any:
    def emit(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        m, to, to_row, start, row = args
        rows = [builder.load(_at(builder, m, _behind(builder, start, i, row)), align=4) for i in range(WIDTH)]
        bit = 1
        while bit < WIDTH:  # exchange this bit of the number of the row with that of the lane
            low = _lanes([lane if not lane & bit else WIDTH + lane - bit for lane in range(WIDTH)])
            high = _lanes([lane + bit if not lane & bit else WIDTH + lane for lane in range(WIDTH)])
            for i in (i for i in range(WIDTH) if not i & bit):
                pair = rows[i], rows[i + bit]
                rows[i], rows[i + bit] = builder.shuffle_vector(*pair, low), builder.shuffle_vector(*pair, high)
            bit *= 2
        for i, x in enumerate(rows):
            builder.store(x, _at(builder, m, _behind(builder, to, i, to_row)), align=4)
        return context.get_dummy_value()

    return types.void(_NUMBERS, *[types.intp] * 4), emit


@compiled
def turn(m: Any, to: int, to_row: int, start: int, row: int, rows: int, columns: int) -> None:
    """Write the transpose of a block, in whole squares of vectors."""
    for i in range(0, rows, WIDTH):
        for j in range(0, columns, WIDTH):
            _turn_square(m, to + j * to_row + i, to_row, start + i * row + j, row)


def _tile(rows: int, vectors: int) -> Any:
    """Return the product whose result has this many rows, and vectors beside each other."""
    corners = [(i, j) for i in range(rows) for j in range(vectors)]

    def emit(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        m, c, c_row, a, a_row, a_column, b, b_row, terms, add = args
        width = ir.Constant(c.type, WIDTH)
        places = [_at(builder, m, _behind(builder, _behind(builder, c, i, c_row), j, width)) for i, j in corners]
        starts = [builder.select(add, builder.load(place, align=4), _ZEROS) for place in places]
        sums = [cgutils.alloca_once_value(builder, start) for start in starts]
        with cgutils.for_range(builder, terms) as loop:
            left = builder.add(a, builder.mul(loop.index, a_column))
            right = builder.add(b, builder.mul(loop.index, b_row))
            of_b = [builder.load(_at(builder, m, _behind(builder, right, j, width)), align=4) for j in range(vectors)]
            numbers = [builder.load(builder.gep(m, [_behind(builder, left, i, a_row)])) for i in range(rows)]
            of_a = [_spread(builder, x) for x in numbers]
            for (i, j), place in zip(corners, sums, strict=True):
                term = builder.fmul(of_a[i], of_b[j], flags=_FUSED)
                builder.store(builder.fadd(term, builder.load(place), flags=_FUSED), place)
        for place, to in zip(sums, places, strict=True):
            builder.store(builder.load(place), to, align=4)
        return context.get_dummy_value()

    @_instruction
    def tile(
        typing: Any,
        m: Any,
        c: Any,
        c_row: Any,
        a: Any,
        a_row: Any,
        a_column: Any,
        b: Any,
        b_row: Any,
        terms: Any,
        add: Any,
    ) -> Any:
        return types.void(_NUMBERS, *[types.intp] * 8, types.boolean), emit

    return tile


def _panel(most: int, vectors: int) -> Any:
    """Return the product of any number of rows, `most` at a time, with vectors beside each other."""
    many, four, two, one = (_tile(rows, vectors) for rows in (most, 4, 2, 1))

    @_part
    def panel(
        m: Any,
        c: int,
        c_row: int,
        a: int,
        a_row: int,
        a_column: int,
        b: int,
        b_row: int,
        rows: int,
        terms: int,
        add: bool,
    ) -> None:
        i = 0
        while rows - i >= most:
            many(m, c + i * c_row, c_row, a + i * a_row, a_row, a_column, b, b_row, terms, add)
            i += most
        if rows - i >= 4:
            four(m, c + i * c_row, c_row, a + i * a_row, a_row, a_column, b, b_row, terms, add)
            i += 4
        if rows - i >= 2:
            two(m, c + i * c_row, c_row, a + i * a_row, a_row, a_column, b, b_row, terms, add)
            i += 2
        if rows - i >= 1:
            one(m, c + i * c_row, c_row, a + i * a_row, a_row, a_column, b, b_row, terms, add)

    return panel


_panel_of_several, _panel_of_one = _panel(4, _SEVERAL), _panel(TALL, 1)


@compiled
def product(
    m: Any,
    c: int,
    c_row: int,
    a: int,
    a_row: int,
    a_column: int,
    b: int,
    b_row: int,
    rows: int,
    terms: int,
    width: int,
    add: bool,
) -> None:
    """Write the product of `a` [rows, terms] and `b` [terms, width] to `c`, or `add` it; `width` in whole vectors.

    The numbers of `a` lie `a_column` apart in a row, so that a transposed `a` is read where it lies.
    """
    j = 0
    while width - j >= _SEVERAL_WIDTH:
        _panel_of_several(m, c + j, c_row, a, a_row, a_column, b + j, b_row, rows, terms, add)
        j += _SEVERAL_WIDTH
    while width - j > 0:
        _panel_of_one(m, c + j, c_row, a, a_row, a_column, b + j, b_row, rows, terms, add)
        j += WIDTH


@compiled
def add_lower(m: Any, c: int, c_row: int, a: int, a_row: int, b: int, b_row: int, count: int, width: int) -> None:
    """Add to `c` the product of `a` [count, count], which is zero behind its diagonal, and `b`."""
    for i in range(0, count, 4):
        rows = min(4, count - i)
        product(m, c + i * c_row, c_row, a + i * a_row, a_row, 1, b, b_row, rows, i + rows, width, True)


@compiled
def add_lower_turned(
    m: Any, c: int, c_row: int, a: int, a_row: int, b: int, b_row: int, count: int, width: int
) -> None:
    """Add to `c` the product of the transpose of such an `a` and `b`."""
    for i in range(0, count, 4):
        rows, corner = min(4, count - i), a + i * a_row + i
        product(m, c + i * c_row, c_row, corner, 1, a_row, b + i * b_row, b_row, rows, count - i, width, True)
