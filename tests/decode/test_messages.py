"""Messages of a broker: one record each, with the broker's time where they name none."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from pipeline.core.decode.columns import NO_TIME
from pipeline.core.decode.decoder import Decoded, Decoder, TimeBounds
from schemas.mappings import load_mapping
from tests.harness import AS_OF_MS

NOON = 1_767_268_800_000  # 2026-01-01
DECODER = Decoder(load_mapping("canonical"), ("event", "value", "received_at"), TimeBounds(AS_OF_MS))
GOOD = b'{"event_at":"2026-01-01T12:00:00Z","event":"view","visitor_id":"a"}'
STAMPED = GOOD[:-1] + b',"received_at":"2026-01-01T12:00:05Z"}'
PRETTY = GOOD.replace(b",", b",\n  ")
HURRIED = GOOD.replace(b"12:00:00", b"12:30:00")


def decode(*values: bytes | None, received_ms: int | None = None) -> Decoded:
    at = None if received_ms is None else np.full(len(values), received_ms)
    return DECODER.messages(values, at)


def received(decoded: Decoded) -> list[int | None]:
    return decoded.batch.column("received_at").cast("int64").to_pylist()  # type: ignore[no-any-return]


def test_the_brokers_time_counts_where_a_record_names_none() -> None:
    decoded = decode(GOOD, STAMPED, PRETTY, received_ms=NOON + 1_000)
    assert received(decoded) == [NOON + 1_000, NOON + 5_000, NOON + 1_000]
    assert received(decode(GOOD)) == [None]
    assert received(decode(GOOD, received_ms=NO_TIME)) == [None]


def test_a_clock_ahead_of_the_brokers_is_pulled_back() -> None:
    for message in (HURRIED, HURRIED.replace(b",", b",\n")):
        decoded = decode(message, received_ms=NOON)
        assert decoded.batch.column("event_at").cast("int64").to_pylist() == [NOON]
        assert decoded.batch.column("flags").to_pylist() != [0]


def test_every_message_is_a_record_whatever_is_in_it() -> None:
    messages = (GOOD, b"", None, b"  ", b"\n", GOOD + b"\n", GOOD + b"\n" + GOOD, PRETTY, b"{", GOOD)
    decoded = decode(*messages)
    assert decoded.records == len(messages)
    assert decoded.rows.tolist() == [0, 5, 7, 9]
    assert [(reject.row, reject.payload) for reject in decoded.rejects] == [
        (row, messages[row] or b"") for row in (1, 2, 3, 4, 6, 8)
    ]


def test_a_newline_within_a_text_is_no_json() -> None:
    decoded = decode(GOOD.replace(b"view", b"vi\new"))
    assert [reject.reason for reject in decoded.rejects] == ["not_json"]


@given(
    st.lists(st.sampled_from([GOOD, STAMPED, PRETTY, b"", None, b"\n\n", b"x", GOOD + b" \n"]), min_size=1)
)
def test_one_by_one_they_say_the_same(messages: list[bytes | None]) -> None:
    whole = decode(*messages, received_ms=NOON)
    single = [decode(message, received_ms=NOON) for message in messages]
    assert whole.records == len(messages)
    assert received(whole) == [at for one in single for at in received(one)]
    assert [reject.reason for reject in whole.rejects] == [r.reason for one in single for r in one.rejects]
