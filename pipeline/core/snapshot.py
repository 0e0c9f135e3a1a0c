"""A state as bytes and back: what a step's `dump()` gives, kept beside the recovery position.

No pickle: what is read is data, whoever wrote it. The frame names its format, the kind of state and a
checksum, so that other bytes, another release's or a damaged store's are refused with a way out instead of
being taken for a state.

Layout, little endian: magic (4 bytes), format (2), crc32 of all that follows (4); length of the kind (2),
raw length (8), kind, and the LZ4 block of a MessagePack document in which an array is extension 1:
[type, shape, bytes]. LZ4, because input waits while a state is packed: it is 2.6 times smaller at 1 GB/s.
"""

from __future__ import annotations

import math
import struct
import zlib
from typing import Any, Final

import msgspec
import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

MAGIC: Final = b"PLst"
FORMAT: Final = 8
"""Rises with every change of what any step's `dump` writes or of this frame."""

_HEADER: Final = struct.Struct("<4sHI")
_LENGTHS: Final = struct.Struct("<HQ")
_ARRAY: Final = 1
_WAY_OUT: Final = (
    "go on with the release that wrote it, or `pathline reset` and replay from the beginning of the input"
)


class StateMismatch(Exception):  # noqa: N818 - reads as what it is
    """Bytes that are not a state of this kind and format. `hint` says what to do about it."""

    def __init__(self, message: str, hint: str = _WAY_OUT) -> None:
        super().__init__(f"{message}; {hint}")
        self.message = message
        self.hint = hint


def pack(kind: str, state: dict[str, Any]) -> bytes:
    """`state` as immutable bytes: nested dicts and lists of None, flags, numbers, text, bytes and arrays.

    TypeError for anything else (an array of objects, say).
    """
    raw = _ENCODER.encode(state)
    name = kind.encode()
    packed = pa.compress(raw, codec="lz4_raw", asbytes=True)
    body: bytes = _LENGTHS.pack(len(name), len(raw)) + name + packed
    return _HEADER.pack(MAGIC, FORMAT, zlib.crc32(body)) + body


def unpack(kind: str, data: bytes) -> dict[str, Any]:
    """The state that `pack(kind, state)` wrote; arrays are copies that may be written to.

    Raises StateMismatch. Tuples come back as lists.
    """
    if len(data) < _HEADER.size or data[: len(MAGIC)] != MAGIC:
        raise StateMismatch("these bytes are not a state of Pathline")
    _, format_, checksum = _HEADER.unpack_from(data)
    if format_ != FORMAT:
        raise StateMismatch(f"the state has format {format_}, this release reads format {FORMAT}")
    body = memoryview(data)[_HEADER.size :]
    if zlib.crc32(body) != checksum or len(body) < _LENGTHS.size:
        raise StateMismatch(f"the state of {kind!r} is damaged: its checksum does not fit")
    name_bytes, raw_bytes = _LENGTHS.unpack_from(body)
    packed = _LENGTHS.size + name_bytes
    found = bytes(body[_LENGTHS.size : packed]).decode(errors="replace")
    if found != kind:
        raise StateMismatch(f"the state is of {found!r}, not of {kind!r}")
    try:
        state = _DECODER.decode(pa.decompress(body[packed:], raw_bytes, codec="lz4_raw", asbytes=True))
    except Exception as error:  # whatever a document that another program made does to its readers
        raise StateMismatch(f"the state of {kind!r} cannot be read: {error}") from error
    if not isinstance(state, dict):
        raise StateMismatch(f"the state of {kind!r} is not a document of names")
    return state


def _encode_array(value: Any) -> Any:
    if isinstance(value, np.generic) and not isinstance(value, np.void):
        return value.item()
    if not isinstance(value, np.ndarray) or value.dtype.hasobject:
        raise TypeError(f"a state cannot hold {type(value).__name__}")
    plain = np.ascontiguousarray(value)
    parts = [_describe(value.dtype), list(value.shape), plain.reshape(-1).view(np.uint8).data]
    return msgspec.msgpack.Ext(_ARRAY, _ENCODER.encode(parts))


def _decode_array(code: int, data: memoryview) -> NDArray[Any]:
    if code != _ARRAY:
        raise ValueError(f"unknown extension {code}")
    described, shape, content = msgspec.msgpack.decode(data, type=tuple[Any, list[int], bytes])
    dtype = _dtype(described)
    if dtype.hasobject or min(shape, default=0) < 0 or math.prod(shape) * dtype.itemsize != len(content):
        raise ValueError("an array does not fit its type and shape")
    array: NDArray[Any] = np.ndarray(tuple(shape), dtype, bytearray(content) or None)
    return array


def _describe(dtype: np.dtype[Any]) -> Any:
    """A dtype as a document: a name like '<i8', [items, shape], or the fields of a record with their places
    (numba tells aligned records from others, so that is part of it).
    """
    if dtype.subdtype is not None:
        base, shape = dtype.subdtype
        return [_describe(base), list(shape)]
    if dtype.fields is None:
        return dtype.str
    names = list(dtype.names or ())
    fields = [dtype.fields[name] for name in names]
    return {
        "names": names,
        "formats": [_describe(field[0]) for field in fields],
        "offsets": [field[1] for field in fields],
        "itemsize": dtype.itemsize,
        "aligned": dtype.isalignedstruct,
    }


def _dtype(described: Any) -> np.dtype[Any]:
    """The dtype that `_describe` described."""
    if isinstance(described, str):
        return np.dtype(described)
    if isinstance(described, list):
        base, shape = described
        return np.dtype((_dtype(base), tuple(shape)))
    record: Any = {**described, "formats": [_dtype(field) for field in described["formats"]]}
    dtype: np.dtype[Any] = np.dtype(record, align=record.pop("aligned"))
    return dtype


_ENCODER: Final = msgspec.msgpack.Encoder(enc_hook=_encode_array)
_DECODER: Final = msgspec.msgpack.Decoder(ext_hook=_decode_array)
