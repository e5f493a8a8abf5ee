"""What the kernel needs below numba's Python: bit counts, and records and words at an address.

Bit counts are one machine instruction each.  ``ctz64(0)`` and ``clz64(0)`` are 64, as ``sys.TrailingZeros64`` and
``sys.LeadingZeros64`` in Go.

Pointers.  The heap's growable tables (spans, arenas, bitmaps, ...) live in NumPy arrays whose address, capacity and
length stand in the ``HEAP`` record (see ``tables.py``).  ``make_record_table`` and ``make_word_table`` make accessors:
in compiled code an item is nothing but a pointer computed from the record's fields, so a table can be moved to a larger
array between two batches of events without a new type and hence without compiling again.  An index at or above the
table's length raises ``IndexError``, as an array's bounds check would.  They are intrinsics rather than compiled
functions because they are called from some two hundred places: inlined by numba they would double the compile time.

Under ``NUMBA_DISABLE_JIT=1`` the same accessors answer from NumPy views of the same memory.
"""

import ctypes
import functools

import numba
import numpy as np
from llvmlite import ir
from numba import config, types
from numba.extending import intrinsic

from ._jit import BOUNDSCHECK

OUTSIDE = "index outside a table of the heap"
_NOT_POISON = ir.Constant(ir.IntType(1), 0)


@functools.lru_cache(maxsize=4096)
def _view(address, count, dtype, stride):
    """Return a NumPy view of ``count`` items at ``address``, ``stride`` bytes apart (plain Python mode only)."""
    span = (count - 1) * stride + dtype.itemsize if count else 0
    memory = (ctypes.c_char * span).from_address(address)
    view = np.ndarray((count,), dtype, memory, strides=(stride,))
    return view.view(np.recarray) if dtype.names else view


if config.DISABLE_JIT:

    def ctz64(x):
        """Return the number of trailing zero bits of a uint64, 64 for 0."""
        x = int(x)
        return np.int64((x & -x).bit_length() - 1 if x else 64)

    def clz64(x):
        """Return the number of leading zero bits of a uint64, 64 for 0."""
        return np.int64(64 - int(x).bit_length())

    def popcount64(x):
        """Return the number of one bits of a uint64."""
        return np.int64(int(x).bit_count())

    def _python_view(h, name, dtype, stride, index):
        """Return the whole table as a view, after checking ``index`` against its length."""
        if not 0 <= index < h[f"{name}_len"]:
            raise IndexError(OUTSIDE)
        return _view(int(h[f"{name}_at"]), int(h[f"{name}_cap"]), dtype, stride)

    def make_record_table(heap, name, dtype, stride=None):
        """Return ``at(h, index)``, the record ``index`` of table ``name`` of a ``heap`` record."""
        step = stride or dtype.itemsize

        def at(h, index):
            return _python_view(h, name, dtype, step, int(index))[int(index)]

        return at

    def make_word_table(heap, name, dtype):
        """Return ``load(h, index)`` and ``store(h, index, value)`` for table ``name`` of words."""

        def load(h, index):
            return _python_view(h, name, dtype, dtype.itemsize, int(index))[int(index)]

        def store(h, index, value):
            _python_view(h, name, dtype, dtype.itemsize, int(index))[int(index)] = value

        return load, store

    def make_byte_reader(heap, name):
        """Return ``load(h, offset)``, 8 bytes of table ``name`` as a little-endian word."""

        def load(h, offset):
            at = int(offset)
            if not 0 <= at <= h[f"{name}_len"] - 8:
                raise IndexError(OUTSIDE)
            view = _view(int(h[f"{name}_at"]), int(h[f"{name}_cap"]), np.dtype("u1"), 1)
            return view[at : at + 8].view("<u8")[0]

        return load

else:

    def _bitop(emit):
        def typer(typingctx, x):
            def codegen(context, builder, signature, args):
                return emit(builder, args[0])

            return types.int64(types.uint64), codegen

        return typer

    @intrinsic
    def ctz64(typingctx, x):
        """Return the number of trailing zero bits of a uint64, 64 for 0."""
        return _bitop(lambda builder, value: builder.cttz(value, _NOT_POISON))(typingctx, x)

    @intrinsic
    def clz64(typingctx, x):
        """Return the number of leading zero bits of a uint64, 64 for 0."""
        return _bitop(lambda builder, value: builder.ctlz(value, _NOT_POISON))(typingctx, x)

    @intrinsic
    def popcount64(typingctx, x):
        """Return the number of one bits of a uint64."""
        return _bitop(lambda builder, value: builder.ctpop(value))(typingctx, x)

    _I64 = ir.IntType(64)

    def _field(builder, record, heap, name):
        """Load the int64 field ``name`` of a heap record."""
        offset = ir.Constant(_I64, heap.fields[name][1])
        raw = builder.bitcast(record, ir.IntType(8).as_pointer())
        pointer = builder.bitcast(builder.gep(raw, [offset]), _I64.as_pointer())
        return builder.load(pointer, align=8)

    def _item_address(context, builder, signature, args, table):
        """Emit the bounds check and return the item's address as an integer."""
        heap, name, stride = table
        index = context.cast(builder, args[1], signature.args[1], types.int64)
        if BOUNDSCHECK:
            outside = builder.icmp_unsigned(">=", index, _field(builder, args[0], heap, f"{name}_len"))
            with builder.if_then(outside, likely=False):
                context.call_conv.return_user_exc(builder, IndexError, (OUTSIDE,))
        return builder.add(
            _field(builder, args[0], heap, f"{name}_at"), builder.mul(index, ir.Constant(_I64, stride))
        )

    def make_record_table(heap, name, dtype, stride=None):
        """Return ``at(h, index)``, the record ``index`` of table ``name`` of a ``heap`` record."""
        record = numba.from_dtype(dtype)
        table = (heap, name, stride or dtype.itemsize)

        @intrinsic
        def at(typingctx, h, index):
            def codegen(context, builder, signature, args):
                address = _item_address(context, builder, signature, args, table)
                return builder.inttoptr(address, context.get_value_type(record))

            return record(h, index), codegen

        return at

    def make_word_table(heap, name, dtype):
        """Return ``load(h, index)`` and ``store(h, index, value)`` for table ``name`` of words."""
        word = numba.from_dtype(dtype)
        pointer_type = ir.IntType(dtype.itemsize * 8).as_pointer()
        table = (heap, name, dtype.itemsize)

        @intrinsic
        def load(typingctx, h, index):
            def codegen(context, builder, signature, args):
                address = _item_address(context, builder, signature, args, table)
                return builder.load(builder.inttoptr(address, pointer_type), align=dtype.itemsize)

            return word(h, index), codegen

        @intrinsic
        def store(typingctx, h, index, value):
            def codegen(context, builder, signature, args):
                address = _item_address(context, builder, signature, args, table)
                item = context.cast(builder, args[2], signature.args[2], word)
                builder.store(item, builder.inttoptr(address, pointer_type), align=dtype.itemsize)
                return context.get_dummy_value()

            return types.void(h, index, value), codegen

        return load, store

    def make_byte_reader(heap, name):
        """Return ``load(h, offset)``, 8 bytes of table ``name`` as a little-endian word."""

        @intrinsic
        def load(typingctx, h, offset):
            def codegen(context, builder, signature, args):
                at = context.cast(builder, args[1], signature.args[1], types.int64)
                if BOUNDSCHECK:
                    last = builder.add(at, ir.Constant(_I64, 7))
                    length = _field(builder, args[0], heap, f"{name}_len")
                    # Both ends: an offset just below 0 has its last byte inside.
                    outside = builder.or_(
                        builder.icmp_unsigned(">=", at, length), builder.icmp_unsigned(">=", last, length)
                    )
                    with builder.if_then(outside, likely=False):
                        context.call_conv.return_user_exc(builder, IndexError, (OUTSIDE,))
                address = builder.add(_field(builder, args[0], heap, f"{name}_at"), at)
                return builder.load(builder.inttoptr(address, _I64.as_pointer()), align=1)

            return types.uint64(h, offset), codegen

        return load
