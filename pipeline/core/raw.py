"""What numba does not offer: arrays without an owner, memcpy, unaligned loads, 32 bytes at a time.

numba counts references to an array whenever it is handed to a function or read from a tuple: an atomic
instruction each, more than the work of a small step (measured: two thirds of the time of `track`).
A kernel's caller holds every array for the whole call, so inside nothing needs to be counted.

Nothing here checks bounds: the caller knows that what it reads and writes is there.
"""

from __future__ import annotations

from typing import Any, Final

from llvmlite import ir
from numba import njit
from numba.core import cgutils, types
from numba.extending import intrinsic

VECTOR: Final = 32
"""Bytes that `stops32` and its like look at: one AVX2 register, two of SSE2 or NEON."""

_BYTES = ir.VectorType(ir.IntType(8), VECTOR)
_WORD = ir.IntType(64)


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
    """target[target_at:+count] = source[source_at:+count] of uint8 arrays that do not overlap: one memcpy."""

    def generate(context, builder, signature, args):  # type: ignore[no-untyped-def]
        where = _address(context, builder, signature, args, 0)
        whence = _address(context, builder, signature, args, 2)
        cgutils.raw_memcpy(builder, where, whence, args[4], 1)
        return context.get_dummy_value()

    return types.void(target, types.int64, source, types.int64, types.int64), generate


@intrinsic
def copy32(typing_context, target, target_at, source, source_at):  # type: ignore[no-untyped-def]
    """target[target_at:+32] = source[source_at:+32] for uint8 arrays."""

    def generate(context, builder, signature, args):  # type: ignore[no-untyped-def]
        bytes_ = _load(context, builder, signature, args, 2, _BYTES)
        where = _address(context, builder, signature, args, 0)
        builder.store(bytes_, builder.bitcast(where, _BYTES.as_pointer()), align=1)
        return context.get_dummy_value()

    return types.void(target, types.int64, source, types.int64), generate


@intrinsic
def byte_at(typing_context, array, at):  # type: ignore[no-untyped-def]
    """array[at] of a uint8 array as int64; `at` is not negative (which numba would look after each time)."""

    def generate(context, builder, signature, args):  # type: ignore[no-untyped-def]
        return builder.zext(_load(context, builder, signature, args, 0, ir.IntType(8)), _WORD)

    return types.int64(array, types.int64), generate


@intrinsic
def load_u64(typing_context, array, at):  # type: ignore[no-untyped-def]
    """The 8 bytes from `at` of a uint8 array as a little-endian uint64, at any alignment."""

    def generate(context, builder, signature, args):  # type: ignore[no-untyped-def]
        return _load(context, builder, signature, args, 0, _WORD)

    return types.uint64(array, types.int64), generate


@intrinsic
def stops32(typing_context, array, at):  # type: ignore[no-untyped-def]
    """Which of the 32 bytes from `at` can end a run of plain JSON text: a quote, a backslash or a control
    byte. Bit k of the uint64 is byte k.
    """

    def generate(context, builder, signature, args):  # type: ignore[no-untyped-def]
        bytes_ = _load(context, builder, signature, args, 0, _BYTES)
        quote = builder.icmp_unsigned("==", bytes_, _splat('"'))
        escape = builder.icmp_unsigned("==", bytes_, _splat("\\"))
        control = builder.icmp_unsigned("<", bytes_, _splat(" "))
        return _bits(builder, builder.or_(control, builder.or_(quote, escape)))

    return types.uint64(array, types.int64), generate


@intrinsic
def high32(typing_context, array, at):  # type: ignore[no-untyped-def]
    """Which of the 32 bytes from `at` are not ASCII."""

    def generate(context, builder, signature, args):  # type: ignore[no-untyped-def]
        bytes_ = _load(context, builder, signature, args, 0, _BYTES)
        return _bits(builder, builder.icmp_signed("<", bytes_, _splat("\0")))

    return types.uint64(array, types.int64), generate


@intrinsic
def differing32(typing_context, array, at, other, other_at):  # type: ignore[no-untyped-def]
    """Which of the 32 bytes from `at` differ from those of `other` from `other_at`."""

    def generate(context, builder, signature, args):  # type: ignore[no-untyped-def]
        here = _load(context, builder, signature, args, 0, _BYTES)
        there = _load(context, builder, signature, args, 2, _BYTES)
        return _bits(builder, builder.icmp_unsigned("!=", here, there))

    return types.uint64(array, types.int64, other, types.int64), generate


@intrinsic
def trailing_zeros(typing_context, bits):  # type: ignore[no-untyped-def]
    """The number of the lowest bit that is set in a uint64 that is not 0."""

    def generate(context, builder, signature, args):  # type: ignore[no-untyped-def]
        return builder.cttz(args[0], ir.Constant(ir.IntType(1), 1))

    return types.int64(types.uint64), generate


def _address(context: Any, builder: ir.IRBuilder, signature: Any, args: Any, which: int) -> Any:
    """The address of array `which` of the arguments at the index that follows it."""
    array = context.make_array(signature.args[which])(context, builder, args[which])
    return builder.gep(array.data, [args[which + 1]])


def _load(context: Any, builder: ir.IRBuilder, signature: Any, args: Any, which: int, type_: Any) -> Any:
    """What lies there."""
    where = _address(context, builder, signature, args, which)
    return builder.load(builder.bitcast(where, type_.as_pointer()), align=1)


def _splat(character: str) -> ir.Constant:
    return ir.Constant(_BYTES, [ord(character)] * VECTOR)


def _bits(builder: ir.IRBuilder, truths: Any) -> Any:
    """A uint64 with one bit per lane."""
    return builder.zext(builder.bitcast(truths, ir.IntType(VECTOR)), _WORD)


inlined = njit(nogil=True, forceinline=True)
"""For kernels whose arguments are dozens of arrays: to pass those for every event would cost more than the
work. Each is called in one place of a kernel only: every call is compiled anew.
"""
