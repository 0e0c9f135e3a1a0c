"""The fast path gives what the exact decoder gives for each line on its own."""

from __future__ import annotations

import json
import random

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.core.decode import lines as lines_module
from pipeline.core.decode.decoder import Decoder
from schemas.mappings import Mapping, load_mapping
from tests.decode.fuzz import BOUNDS, check
from tests.decode.reference import block, exact_fates, fates


@given(st.randoms(use_true_random=False))
def test_any_lines_under_any_mapping(rng: random.Random) -> None:
    check(rng, rng.choice((1, 4)))


@pytest.mark.parametrize("chunk", [1, 3, 4096])
def test_many_seeded_lines(chunk: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lines_module, "CHUNK_ROWS", chunk)
    for seed in range(12):
        check(random.Random(seed), 40)


@given(st.binary(max_size=80), st.sampled_from(["canonical", "ecom", "w1"]))
def test_any_bytes(data: bytes, name: str) -> None:
    agree(data, load_mapping(name))


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
        max_leaves=12,
    ),
    st.booleans(),
)
def test_any_value_in_any_field(value: object, ascii_only: bool) -> None:
    good = {"event_at": "2026-03-13T10:21:14Z", "visitor_id": "v", "event": "e"}
    records = [
        good | {name: value} for name in ("visitor_id", "event_at", "event", "value", "passive", "url")
    ]
    text = "\n".join(json.dumps(record, ensure_ascii=ascii_only) for record in records)
    agree(text.encode("utf-8", "surrogatepass"), load_mapping("canonical"))


def agree(data: bytes, mapping: Mapping) -> None:
    decoder = Decoder(mapping, ("url", "value", "currency", "user_id", "properties.x"), BOUNDS)
    data += b"\n"
    decoded, taken = decoder.lines(np.frombuffer(data, np.uint8), 0, 1000)
    assert taken == len(data)
    assert fates(decoded) == exact_fates(data, mapping, decoder.needed, BOUNDS)


def test_a_large_block_in_many_chunks() -> None:
    """Tables grow, text grows beyond what the first chunk let expect, a block can be left in its middle."""
    mapping = load_mapping("canonical")
    decoder = Decoder(mapping, ("url", "source"), BOUNDS)
    made = [
        {"event_at": "2026-03-13T10:21:14Z", "visitor_id": f"v{n}", "event": "e", "source": f"s{n % 3000}",
         "url": "u" * (n % 97 if n < 5000 else 400)}
        for n in range(9000)
    ]  # fmt: skip
    made[7000]["url"] = "ü\ud83d\ude00".encode("utf-16", "surrogatepass").decode("utf-16")
    data = block([json.dumps(record).encode() for record in made])
    found, begin = [], 0
    while begin < len(data):
        decoded, taken = decoder.lines(data, begin, 6000)
        found += fates(decoded)
        begin += taken
    assert found == exact_fates(data.tobytes(), mapping, decoder.needed, BOUNDS)


def test_a_block_is_not_read_beyond_its_end() -> None:
    """What lies behind the block's last newline is nobody's business, whatever it is."""
    decoder = Decoder(load_mapping("canonical"), ("url",), BOUNDS)
    line = b'{"event_at":"2026-03-13T10:21:14Z","visitor_id":"v","event":"e","url":"x"}'
    whole = np.frombuffer(line + b"\n" + b'"' * 64, np.uint8)
    decoded, taken = decoder.lines(whole[: len(line) + 1], 0, 10)
    assert (taken, len(decoded.batch), decoded.rejects) == (len(line) + 1, 1, [])
