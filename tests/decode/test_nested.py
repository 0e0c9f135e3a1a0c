"""Lists and objects that are kept whole: read at once where they are plain, else exactly; never otherwise."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.core.decode.decoder import Decoder
from pipeline.core.decode.exact import ExactDecoder
from schemas.events import ALWAYS
from schemas.mappings import load_mapping
from tests.decode.fuzz import BOUNDS, Counting
from tests.decode.reference import block, exact_fates, fates

GOOD = '{"event_at":"2026-03-13T10:21:14Z","visitor_id":"v","event":"e"'
MAPPING = load_mapping("canonical")
NEEDED = ("products", "properties")


def read(*values: str, name: str = "properties") -> tuple[list[object], int]:
    """What the fast path makes of records with these values, and how many were left to the exact decoder."""
    lines = [f'{GOOD},"{name}":{value}}}'.encode() for value in values]
    decoder = Decoder(MAPPING, NEEDED, BOUNDS)
    decoder._exact = counting = Counting(MAPPING, decoder.needed, BOUNDS)
    decoded, _ = decoder.lines(block(lines), 0, 1_000)
    assert fates(decoded) == exact_fates(block(lines).tobytes(), MAPPING, decoder.needed, BOUNDS)
    return [event[name] if isinstance(event, dict) else None for event in fates(decoded)], counting.done


def short(value: object) -> str:
    """As JSON without white space."""
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))


@pytest.mark.parametrize(
    "text",
    [
        '{"a":1}', '{"a":"b","":""}', '{"a":true,"b":false,"c":null,"d":-5,"e":0}', '{"é":"日本 😀"}',
        '{"a":1.50,"b":-0.0,"c":-12.5}', '{"a":"{}[],:"}', '{"a":999999999999999999}',
    ],
)  # fmt: skip
def test_a_flat_object_is_kept_as_it_stands(text: str) -> None:
    assert read(text) == ([text], 0)


@pytest.mark.parametrize(
    ("text", "kept"),
    [
        ('{"a": 1}', '{"a":1}'),
        ('{"a":1,"a":2}', '{"a":2}'),
        ('{"a":-0}', '{"a":0}'),
        ('{"a":1E-2}', '{"a":1E-2}'),
        ('{"b":1,"a":-0,"c":2}', '{"b":1,"a":0,"c":2}'),
        ('{"a":{"b":1}}', '{"a":{"b":1}}'),
        ('{"a":[1,"x"]}', '{"a":[1,"x"]}'),
        ("{ }", ""),
        ('{"\\u0061":"\\/"}', '{"a":"/"}'),
        ('{"a":1234567890123456789}', '{"a":1234567890123456789}'),
        ('{"a":1,"b":"x","a":1}', '{"a":1,"b":"x"}'),
        ('{"a":1 ,"b":2}', '{"a":1,"b":2}'),
        (short({f"k{n}": n for n in range(40)}), short({f"k{n}": n for n in range(40)})),
    ],
)  # fmt: skip
def test_any_other_object_is_left_to_the_exact_decoder(text: str, kept: str) -> None:
    assert read(text) == ([kept], 1)


def test_what_is_no_object_or_has_nothing_in_it_is_no_properties() -> None:
    assert read("{}", "null", "7", '"text"', "[1]", "true") == ([""] * 6, 0)


def test_lists_of_plain_texts_are_read_at_once() -> None:
    texts = ["[]", '["a"]', '["a","b c","日本"]', '"alone"', "17", "null", '""']
    found = [[], ["a"], ["a", "b c", "日本"], ["alone"], ["17"], [], []]
    assert read(*texts, name="products") == (found, 0)


def test_lists_of_anything_else_are_left_to_the_exact_decoder() -> None:
    texts = ['["a", "b"]', '["",null]', '[{"id":"x"}]', '["\\u0061"]', "[5]", '["a",5]', "[ ]"]
    found = [["a", "b"], [], ["x"], ["a"], ["5"], ["a", "5"], []]
    assert read(*texts, name="products") == (found, 7)


JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=8,
)


@given(st.lists(st.dictionaries(st.text(max_size=3), JSON, max_size=5) | JSON, max_size=6), st.booleans())
def test_any_value_is_what_the_exact_decoder_makes_of_it(values: list[object], is_short: bool) -> None:
    texts = [short(value) if is_short else json.dumps(value) for value in values]
    texts = [text for text in texts if "\n" not in text]
    read(*texts)
    read(*texts, name="products")


def test_many_lists_in_many_chunks() -> None:
    texts = [short([f"p{n}-{k}" for k in range(n % 7)]) for n in range(900)]
    assert read(*texts, name="products") == ([json.loads(text) for text in texts], 0)


def test_for_a_field_that_is_only_kept_no_record_is_rejected() -> None:
    kept = ("products", "cart_id")
    decoder = ExactDecoder(MAPPING, (*ALWAYS, *kept), BOUNDS, kept)
    record = json.loads(GOOD + ',"products":[[1]],"cart_id":{"a":1}}')
    found = decoder.decode(record).values
    assert (found["products"], found["cart_id"]) == ([], "")
