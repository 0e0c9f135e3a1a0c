"""Money and numbers as Decimal knows them."""

from __future__ import annotations

from decimal import ROUND_HALF_EVEN, Context, Decimal

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from pipeline.core.decode.decoder import Decoder, TimeBounds
from schemas.events import FLAG_BAD_VALUE
from schemas.mappings import load_mapping
from tests.decode.reference import block, rows

DECODER = Decoder(load_mapping("canonical"), ("value", "quantity"), TimeBounds(1_800_000_000_000))
WIDE = Context(prec=400)


def read(name: str, written: str) -> tuple[int, int]:
    """(the field's value, flags) of an event with `written` as JSON text."""
    line = '{"event_at":"2026-03-13T10:21:14Z","visitor_id":"v","event":"e",' + f'"{name}":{written}}}'
    decoded, _ = DECODER.lines(block([line.encode()]), 0, 1)
    (event,) = rows(decoded.batch)
    return event[name], event["flags"]


@given(st.decimals(0, 10**11, allow_nan=False) | st.decimals(0, 10**6, places=5))
@example(Decimal("0.00005"))
@example(Decimal("0.00015"))
@example(Decimal("0.000050000000000000000000000000000000001"))
@example(Decimal("99999999999.99995"))
@example(Decimal(10**11))
def test_money_is_rounded_half_to_even(number: Decimal) -> None:
    exact = WIDE.multiply(number, 10_000).to_integral_value(ROUND_HALF_EVEN)
    for written in (f"{number:f}", f'"{number:f}"', f"{number:e}", f'" {number:e}"'):
        assert read("value", written) == (int(exact), 0)


@given(st.decimals(allow_nan=True, allow_infinity=True).filter(lambda n: n.is_nan() or not 0 <= n <= 10**11))
def test_money_out_of_range_is_a_bad_value(number: Decimal) -> None:
    assert read("value", f'"{number}"') == (0, FLAG_BAD_VALUE)


@given(st.integers(-(2**62) + 1, 2**62 - 1))
@example(999_999_999_999_999_999)
def test_whole_numbers(number: int) -> None:
    assert read("quantity", str(number)) == read("quantity", f'"{number}"') == (number, 0)


@pytest.mark.parametrize(
    ("written", "number"), [("2.9", 2), ("-2.9", -2), ("1e2", 100), ('"2.0"', 2), ("-0", 0)]
)
def test_pieces_are_cut_to_whole_ones(written: str, number: int) -> None:
    assert read("quantity", written) == (number, 0)
