"""States come back as they went, and nothing else is taken for a state."""

from __future__ import annotations

from typing import Any

import msgspec
import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst

from pipeline.core import snapshot
from pipeline.core.snapshot import StateMismatch, pack, unpack
from pipeline.core.track.layout import COUNT_OUT, SESSION, VISIT

PLAIN = st.none() | st.booleans() | st.integers(-(2**63), 2**64 - 1) | st.floats() | st.text() | st.binary()
DTYPES = (
    npst.integer_dtypes() | npst.unsigned_integer_dtypes() | npst.floating_dtypes() | npst.boolean_dtypes()
)
RECORDS = st.builds(
    lambda fields, align: np.dtype([(f"f{k}", *field) for k, field in enumerate(fields)], align=align),
    st.lists(
        st.tuples(DTYPES, npst.array_shapes(min_dims=0, max_dims=2, min_side=1, max_side=3)), min_size=1
    ),
    st.booleans(),
)


def filled(dtype: np.dtype[Any], shape: tuple[int, ...]) -> np.ndarray[Any, Any]:
    content = np.random.default_rng(1).bytes(int(np.prod(shape)) * dtype.itemsize)
    return np.frombuffer(content, dtype).reshape(shape)


SHAPES = npst.array_shapes(min_dims=1, max_dims=3, min_side=1, max_side=4)
ARRAYS = st.builds(filled, DTYPES | RECORDS, SHAPES)
STATES = st.dictionaries(
    st.text(), st.recursive(PLAIN | ARRAYS, lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner))
)


def same(a: Any, b: Any) -> bool:
    if isinstance(a, np.ndarray):
        return bool(a.dtype == b.dtype and a.shape == b.shape and a.tobytes() == b.tobytes())
    if isinstance(a, dict):
        return a.keys() == b.keys() and all(same(a[key], b[key]) for key in a)
    if isinstance(a, list):
        return len(a) == len(b) and all(map(same, a, b))
    return type(a) is type(b) and (a == b or a != a)  # nan


@given(STATES)
def test_a_state_comes_back_as_it_went(state: dict[str, Any]) -> None:
    data = pack("track", state)
    assert isinstance(data, bytes)
    assert same(state, unpack("track", data))
    assert pack("track", unpack("track", data)) == data


@pytest.mark.parametrize("dtype", [SESSION, VISIT, COUNT_OUT], ids=["session", "visit", "count"])
@pytest.mark.parametrize("shape", [(0,), (3,), (2, 2)])
def test_the_kernels_records_keep_their_layout(dtype: np.dtype[Any], shape: tuple[int, ...]) -> None:
    back = unpack("track", pack("track", {"rows": np.zeros(shape, dtype)}))["rows"]
    assert back.dtype == dtype
    assert back.dtype.isalignedstruct == dtype.isalignedstruct
    assert back.shape == shape


def test_arrays_may_be_written_to_and_need_not_be_contiguous() -> None:
    every_other = np.arange(10)[::2]
    back = unpack("x", pack("x", {"a": every_other, "one": np.int32(7), "flag": np.bool_(True)}))
    back["a"][0] = 99
    assert back["a"].tolist() == [99, 2, 4, 6, 8]
    assert (back["one"], back["flag"]) == (7, True)


@pytest.mark.parametrize("what", [object(), np.array([object()]), np.zeros(1, "V4,i4")[0]])
def test_what_is_not_data_is_refused_on_the_way_in(what: Any) -> None:
    with pytest.raises(TypeError):
        pack("x", {"a": what})


@given(st.integers(0), st.integers(1, 255))
def test_a_damaged_state_is_a_mismatch(where: int, bits: int) -> None:
    data = bytearray(pack("track", {"rows": np.arange(20), "words": ["", "a"]}))
    data[where % len(data)] ^= bits
    with pytest.raises(StateMismatch):
        unpack("track", bytes(data))


@given(st.integers(0))
def test_a_cut_state_is_a_mismatch(length: int) -> None:
    data = pack("track", {"rows": np.arange(20)})
    with pytest.raises(StateMismatch):
        unpack("track", data[: length % len(data)])


@given(st.binary() | st.binary().map(lambda data: snapshot.MAGIC + data))
def test_foreign_bytes_are_a_mismatch(data: bytes) -> None:
    with pytest.raises(StateMismatch):
        unpack("track", data)


def framed(document: bytes) -> bytes:
    """A frame that is right around a document that is not."""
    body = snapshot._LENGTHS.pack(1, len(document)) + b"x" + pa.compress(document, "lz4_raw", asbytes=True)
    return snapshot._HEADER.pack(snapshot.MAGIC, snapshot.FORMAT, snapshot.zlib.crc32(body)) + body


def array(*parts: Any) -> bytes:
    return msgspec.msgpack.encode({"a": msgspec.msgpack.Ext(1, msgspec.msgpack.encode(parts))})


@pytest.mark.parametrize(
    "document",
    [
        b"\xc1",
        msgspec.msgpack.encode([1]),
        msgspec.msgpack.encode({"a": msgspec.msgpack.Ext(9, b"")}),
        array("|O", [1], bytes(8)),
        array("<i8", [2], bytes(8)),
        array("<i8", [-1, -1], bytes(8)),
        array("no type", [1], bytes(8)),
        array({"names": ["a"]}, [1], bytes(8)),
        array(
            {"names": ["a"], "formats": ["|O"], "offsets": [0], "itemsize": 8, "aligned": False},
            [1],
            bytes(8),
        ),
    ],
)
def test_a_document_that_is_no_state_is_a_mismatch(document: bytes) -> None:
    with pytest.raises(StateMismatch):
        unpack("x", framed(document))


def test_the_message_says_what_differs_and_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    data = pack("track", {})
    with pytest.raises(StateMismatch, match=r"is of 'track', not of 'admit'.*replay") as caught:
        unpack("admit", data)
    assert "pathline reset" in caught.value.hint
    now = snapshot.FORMAT
    monkeypatch.setattr(snapshot, "FORMAT", now + 1)
    with pytest.raises(StateMismatch, match=f"has format {now}, this release reads format {now + 1}"):
        unpack("track", data)
