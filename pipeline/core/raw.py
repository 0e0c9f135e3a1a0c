"""What numba does not offer: arrays without an owner, memcpy, unaligned loads.

numba counts references to an array whenever it is handed to a function or read from a tuple: an atomic
instruction each, more than the work of a small step (measured: two thirds of the time of `track`).
A kernel's caller holds every array for the whole call, so inside nothing needs to be counted.
"""

from __future__ import annotations

from llvmlite import ir
from numba.core import cgutils, types
from numba.extending import intrinsic


@intrinsic
def borrowed(typing_context, array):  # type: ignore[no-untyped-def]
    """The same array without an owner. The caller of the kernel must keep the original alive."""

    def generate(context, builder, signature, args):  # type: ignore[no-untyped-def]
        struct = context.make_array(signature.args[0])(context, builder, args[0])
        struct.meminfo = cgutils.get_null_value(struct.meminfo.type)
        struct.parent = cgutils.get_null_value(struct.parent.type)
        return struct._getvalue()

    return array(array), generate


@intrinsic
def copy_bytes(typing_context, target, target_at, source, source_at, count):  # type: ignore[no-untyped-def]
    """target[target_at:+count] = source[source_at:+count] for uint8 arrays that do not overlap: one memcpy."""

    def generate(context, builder, signature, args):  # type: ignore[no-untyped-def]
        into = context.make_array(signature.args[0])(context, builder, args[0])
        of = context.make_array(signature.args[2])(context, builder, args[2])
        where = builder.gep(into.data, [args[1]])
        whence = builder.gep(of.data, [args[3]])
        cgutils.raw_memcpy(builder, where, whence, args[4], 1)
        return context.get_dummy_value()

    return types.void(target, types.int64, source, types.int64, types.int64), generate


@intrinsic
def load_u64(typing_context, array, at):  # type: ignore[no-untyped-def]
    """The 8 bytes from `at` of a uint8 array as a little-endian uint64, at any alignment."""

    def generate(context, builder, signature, args):  # type: ignore[no-untyped-def]
        struct = context.make_array(signature.args[0])(context, builder, args[0])
        word = ir.IntType(64)
        where = builder.bitcast(builder.gep(struct.data, [args[1]]), word.as_pointer())
        return builder.load(where, align=1)

    return types.uint64(array, types.int64), generate
