"""The reject table of the semantics, line by line."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest

from pipeline.core.decode.decoder import Decoded, Decoder, TimeBounds
from schemas.events import FLAG_BAD_VALUE, FLAG_CLOCK_SKEW
from schemas.mappings import load_mapping
from schemas.rejects import PAYLOAD_BYTES_MAX, RECORD_BYTES_MAX, RejectReason
from tests.decode.reference import block, rows

AS_OF = 1_800_000_000_000
GOOD: dict[str, Any] = {
    "event_id": "e1",
    "event_at": "2026-03-13T10:21:14.165Z",
    "event": "page_view",
    "visitor_id": "v1",
    "value": 12.5,
    "currency": "EUR",
}
DECODER = Decoder(load_mapping("canonical"), ("value", "currency", "user_id", "quantity"), TimeBounds(AS_OF))


def decoded(*lines: bytes) -> Decoded:
    found, taken = DECODER.lines(block(list(lines)), 0, 100)
    assert taken == sum(len(line) + 1 for line in lines)
    return found


def line(**changes: Any) -> bytes:
    """The good record with some fields changed, or left out where None."""
    record = {name: value for name, value in (GOOD | changes).items() if value is not None}
    return json.dumps(record, ensure_ascii=False).encode()


def reason(bad: bytes) -> RejectReason:
    """Why a line between two good ones is rejected."""
    found = decoded(line(), bad, line(visitor_id="v2"))
    assert [event["visitor_id"] for event in rows(found.batch)] == ["v1", "v2"]
    assert (found.records, found.rows.tolist()) == (3, [0, 2])
    (reject,) = found.rejects
    assert (reject.row, reject.payload) == (1, bad[:PAYLOAD_BYTES_MAX])
    return reject.reason


def accepted(**changes: Any) -> dict[str, Any]:
    """The event of the good record with some fields changed."""
    found = decoded(line(**changes))
    assert found.rejects == []
    (event,) = rows(found.batch)
    return event


def test_good_record_is_an_event() -> None:
    event = accepted()
    assert event["event_at"] == 1_773_397_274_165
    assert (event["value"], event["currency"], event["flags"]) == (125_000, "EUR", 0)


@pytest.mark.parametrize("bad", [b"abc", b"{'a': 1}", b'{"a": 1,}', b"[1, 2", b'{"a": 01}', b'{"a": NaN}'])
def test_not_json(bad: bytes) -> None:
    assert reason(bad) in (RejectReason.NOT_JSON, RejectReason.CUT_LINE)


@pytest.mark.parametrize(
    ("right", "wrong"),
    [
        (b"}", b",}"),
        (b"}", b"}}"),
        (b"}", b"} {}"),
        (b"}", b', "x": [1,]}'),
        (b"}", b', "x": {"a": 1,}}'),
        (b"}", b', "x": [,1]}'),
        (b"}", b', "x": [1 2]}'),
        (b"}", b', "x": 01}'),
        (b"}", b', "x": 1.}'),
        (b"}", b', "x": .5}'),
        (b"}", b', "x": +1}'),
        (b"}", b', "x": tru}'),
        (b"}", b', "x": nulll}'),
        (b"}", b', "x": "\\q"}'),
        (b"}", b', "x": "\\u12g4"}'),
        (b"}", b', "x": "\\udc00"}'),
        (b"}", b', "x": "\t"}'),
        (b"}", b', "x" 1}'),
        (b"}", b', "x":: 1}'),
        (b"}", b", x: 1}"),
        (b"}", b', "x": [}]}'),
        (b"{", b"{,"),
        (b"{", b"{{"),
        (b"{", b"\xef\xbb\xbf{"),
        (b"{", b"\x0b{"),
    ],
)
def test_a_good_record_with_one_thing_that_json_forbids(right: bytes, wrong: bytes) -> None:
    """All that is needed is there and right: only the syntax can tell."""
    assert reason(line().replace(right, wrong)) in (RejectReason.NOT_JSON, RejectReason.CUT_LINE)


def test_nesting_without_end_is_not_json_for_every_caller() -> None:
    deep = line()[:-1] + b', "x": ' + b"[" * 300 + b"]" * 300 + b"}"

    def call(depth: int) -> RejectReason:
        return call(depth - 1) if depth else reason(deep)

    assert call(0) == call(100) == RejectReason.NOT_JSON
    assert decoded(line()[:-1] + b', "x": ' + b"[" * 199 + b"]" * 199 + b"}").rejects == []
    assert decoded(line(x="[{" * 500)).rejects == []


@pytest.mark.parametrize("cut", range(1, len(line())))
def test_cut_line(cut: int) -> None:
    assert reason(line()[:cut]) == RejectReason.CUT_LINE


def test_line_cut_within_a_number() -> None:
    for number in (b"1", b"-", b"1.", b"1e", b"1e+", b"1.5"):
        assert reason(b'{"value": ' + number) == RejectReason.CUT_LINE


@pytest.mark.parametrize(
    "broken", [b"\xff", b"\xc3", b"\xc0\x80", b"\xed\xa0\x80", b"\xf4\x90\x80\x80", b"\xe2\x82", b"\x80"]
)
def test_invalid_utf8(broken: bytes) -> None:
    assert reason(line(visitor_id="HERE").replace(b"HERE", broken)) == RejectReason.INVALID_UTF8
    assert reason(line(unknown="HERE").replace(b"HERE", broken)) == RejectReason.INVALID_UTF8


def test_null_byte() -> None:
    assert reason(line(unknown="HERE").replace(b"HERE", b"a\0b")) == RejectReason.NULL_BYTE
    assert reason(b"\0") == RejectReason.NULL_BYTE


def test_over_record_bytes_max() -> None:
    room = RECORD_BYTES_MAX - len(line(unknown=""))
    assert decoded(line(unknown="x" * room)).rejects == []
    assert reason(line(unknown="x" * (room + 1))) == RejectReason.TOO_LARGE
    assert reason(b"\xff" * (RECORD_BYTES_MAX + 1)) == RejectReason.TOO_LARGE


@pytest.mark.parametrize(
    "changes",
    [
        {"visitor_id": {}},
        {"visitor_id": ["v"]},
        {"visitor_id": True},
        {"visitor_id": 1.5},
        {"event": {"name": "x"}},
        {"event_at": {}},
        {"event_at": 1773397274},
        {"value": [1]},
        {"value": {"amount": 1}},
        {"value": True},
        {"quantity": "two"},
        {"passive": "perhaps"},
    ],
)
def test_wrong_type_in_a_needed_field(changes: dict[str, Any]) -> None:
    assert reason(line(**changes)) == RejectReason.WRONG_TYPE


@pytest.mark.parametrize("bad", [b"1", b'"text"', b"null", b"[]", b"[{}]", b"true"])
def test_json_that_is_no_object_is_of_wrong_type(bad: bytes) -> None:
    assert reason(bad) == RejectReason.WRONG_TYPE


def test_wrong_type_in_a_field_that_nobody_needs() -> None:
    assert accepted(url={"href": "x"})["flags"] == 0


@pytest.mark.parametrize("visitor", [None, ""])
def test_no_visitor(visitor: str | None) -> None:
    assert reason(line(visitor_id=visitor)) == RejectReason.NO_VISITOR
    assert reason(line()[:-1].replace(b'"v1"', b"null") + b"}") == RejectReason.NO_VISITOR


@pytest.mark.parametrize("time", [None, "", "yesterday", "2026-02-30T00:00:00Z", "2026-03-13T25:00:00Z"])
def test_no_time(time: str | None) -> None:
    assert reason(line(event_at=time)) == RejectReason.NO_TIME


def test_absurd_time() -> None:
    assert reason(line(event_at="1999-12-31T23:59:59.999Z")) == RejectReason.ABSURD_TIME
    assert accepted(event_at="2000-01-01T00:00:00Z")["event_at"] == 946_684_800_000
    assert reason(line(event_at="9999-01-01T00:00:00Z")) == RejectReason.ABSURD_TIME
    assert accepted(event_at="2027-01-15T08:00:00Z")["event_at"] == AS_OF
    assert reason(line(event_at="2027-01-15T08:00:00.001Z")) == RejectReason.ABSURD_TIME
    assert reason(line(received_at="2027-01-15T08:00:00.001Z")) == RejectReason.ABSURD_TIME
    assert reason(line(received_at="1999-01-01T00:00:00Z")) == RejectReason.ABSURD_TIME


def test_unknown_field_is_ignored() -> None:
    assert accepted(nobody="knows", deep={"a": [1, {"b": None}]}) == accepted()


def test_unknown_event_name_is_accepted() -> None:
    assert accepted(event="frobnicated")["event"] == "frobnicated"
    assert accepted(event=None)["event"] == ""


@pytest.mark.parametrize(
    "value",
    [-1, -0.01, "NaN", "nan", "Infinity", "-inf", "12,50", ".", "n/a", "1_000", 1e12, "100000000000.01"],
)
def test_negative_or_nan_value(value: Any) -> None:
    event = accepted(value=value)
    assert (event["value"], event["flags"], event["currency"]) == (0, FLAG_BAD_VALUE, "EUR")


def test_value_as_numeric_text() -> None:
    for value in ("12.5", " 12.50 ", "+12.5", "1.25e1", 12.5):
        assert (accepted(value=value)["value"], accepted(value=value)["flags"]) == (125_000, 0)


@pytest.mark.parametrize("currency", ["EURO", "€", "E1R", "12", 978, "eu r"])
def test_odd_currency(currency: Any) -> None:
    event = accepted(currency=currency)
    assert (event["value"], event["currency"], event["flags"]) == (0, "", FLAG_BAD_VALUE)


def test_currency_in_small_letters_or_missing_is_not_odd() -> None:
    assert [accepted(currency=c)["currency"] for c in ("eur", "", None)] == ["EUR", "", ""]
    assert accepted(currency=None)["value"] == 125_000


def test_clock_ahead_is_clamped_and_flagged() -> None:
    at = "2026-03-13T10:21:14.165Z"
    in_time = accepted(event_at=at, received_at="2026-03-13T10:16:14.165Z")
    assert (in_time["event_at"], in_time["flags"]) == (1_773_397_274_165, 0)
    ahead = accepted(event_at=at, received_at="2026-03-13T10:16:14.164Z")
    assert (ahead["event_at"], ahead["flags"]) == (1_773_396_974_164, FLAG_CLOCK_SKEW)
    far = accepted(event_at="9999-01-01T00:00:00Z", received_at=at)
    assert (far["event_at"], far["flags"]) == (1_773_397_274_165, FLAG_CLOCK_SKEW)


def test_clock_ahead_of_a_record_that_is_odd_otherwise() -> None:
    event = accepted(received_at="2026-03-13T10:00:00Z", value=-1, user_id="\U0001f600")
    assert event["flags"] == FLAG_CLOCK_SKEW | FLAG_BAD_VALUE


def test_the_first_reason_in_order_counts() -> None:
    large = b"\0\xff" * RECORD_BYTES_MAX
    assert reason(large) == RejectReason.TOO_LARGE
    assert reason(b"\0\xff{") == RejectReason.NULL_BYTE
    assert reason(b"\xff{") == RejectReason.INVALID_UTF8
    assert reason(line(visitor_id="", event_at="")) == RejectReason.NO_VISITOR


def test_blank_lines_are_no_records() -> None:
    found = decoded(b"", line(), b"  \t ", b"\r", line(visitor_id="v2") + b"\r", b"")
    assert (found.records, len(found.batch), found.rejects) == (2, 2, [])
    assert decoded(b"", b" ").records == 0


def test_payload_of_any_row_can_be_had() -> None:
    found = decoded(b"", line(), b"abc", line(visitor_id="v2"))
    assert [found.payload(row) for row in range(3)] == [line(), b"abc", line(visitor_id="v2")]


def test_batch_has_the_schema_that_was_promised() -> None:
    assert decoded(line()).batch.schema == DECODER.schema
    assert decoded(b"abc").batch.schema == DECODER.schema
    assert DECODER.lines(np.frombuffer(b"\n", np.uint8), 0, 10)[0].batch.schema == DECODER.schema
