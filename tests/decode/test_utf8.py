"""UTF-8 as Python knows it."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.core.decode.utf8 import utf8_valid

TRICKY = tuple(bytes([byte]) for byte in b"\xc2\x80\xc0\xe0\xa0\xed\x9f\xf0\x90\xf4\x8f\xffa")


def python_says(data: bytes) -> bool:
    try:
        data.decode()
    except UnicodeDecodeError:
        return False
    return True


@given(st.lists(st.sampled_from(TRICKY) | st.characters().map(lambda c: c.encode("utf-8", "surrogatepass"))))
def test_valid_is_what_python_decodes(parts: list[bytes]) -> None:
    data = b"".join(parts)
    assert utf8_valid(np.frombuffer(data, np.uint8), 0, len(data)) == python_says(data)


@pytest.mark.parametrize("at", range(70))
def test_a_broken_byte_is_found_anywhere(at: int) -> None:
    for broken in (b"\xff", b"\xc3", b"\xe2\x82", b"\xf0\x9f\x98"):
        data = b"a" * at + broken + b"a" * (69 - at)
        assert not utf8_valid(np.frombuffer(data, np.uint8), 0, len(data))
        assert utf8_valid(np.frombuffer(data, np.uint8), 0, at)
