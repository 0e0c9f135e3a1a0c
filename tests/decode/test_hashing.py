"""MurmurHash3 as everybody else computes it."""

from __future__ import annotations

import mmh3
import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from pipeline.core.hashing import hash_texts, murmur128, to_bytes16


@given(st.binary(max_size=70), st.integers(0, 9), st.integers(0, 9))
def test_murmur128_is_that_of_mmh3(data: bytes, before: int, after: int) -> None:
    """Whatever stands before and after: the tail is read word by word where there is room."""
    buf = np.frombuffer(b"\xaa" * before + data + b"\xbb" * after, np.uint8)
    assert tuple(map(int, murmur128(buf, before, len(data)))) == mmh3.hash64(data, signed=False, x64arch=True)


@given(st.binary(max_size=40))
def test_to_bytes16_is_the_digest(data: bytes) -> None:
    out = np.zeros((1, 16), np.uint8)
    h1, h2 = murmur128(np.frombuffer(data, np.uint8), 0, len(data))
    to_bytes16(np.uint64(h1), np.uint64(h2), out, 0)
    assert out.tobytes() == mmh3.hash_bytes(data, x64arch=True)


@given(st.lists(st.binary(max_size=20), max_size=8))
def test_hash_texts_takes_every_text(texts: list[bytes]) -> None:
    offsets = np.cumsum([0, *map(len, texts)]).astype(np.int32)
    hashes = hash_texts(np.frombuffer(b"".join(texts), np.uint8), offsets)
    assert hashes.tolist() == [mmh3.hash64(text, signed=False, x64arch=True)[0] for text in texts]
