"""Events for the tests of single steps: records as dicts, decoded and enriched as the pipeline does it."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import numpy as np
from hypothesis import strategies as st

from pipeline.core.admit.admit import Admitted, identify
from pipeline.core.decode.decoder import Decoder, TimeBounds
from pipeline.core.enrich.enrich import Enrich, needed_fields
from pipeline.core.events import TEXTS, Events
from schemas.journeys import Journey
from schemas.mappings import load_mapping
from schemas.orders import USUAL
from tests.harness import iso
from tests.stories import SHOP
from tests.strategies import START

CANONICAL = load_mapping("canonical")
Row = dict[str, Any]


def enriched(rows: Sequence[Row], journeys: Sequence[Journey] = (SHOP,), partition: int = 0) -> Events:
    """The events of `rows`, none of which may be rejected; `at` is in milliseconds from the start."""
    full = [
        {
            "visitor_id": "a",
            "event": "view",
            "event_id": str(number),
            **row,
            "event_at": iso(START + row.get("at", 0)),
        }
        for number, row in enumerate(rows)
    ]
    lines = "".join(json.dumps({name: row[name] for name in row if name != "at"}) + "\n" for row in full)
    decoder = Decoder(CANONICAL, needed_fields(journeys, USUAL), TimeBounds(4_102_444_800_000))
    decoded, _ = decoder.lines(np.frombuffer(lines.encode(), np.uint8), 0, len(rows) + 1)
    assert len(decoded.batch) == len(rows)
    key, id_hash = identify(decoded.batch, 0)
    nothing = np.zeros(6, np.int64)
    position = np.arange(len(rows)) + 1
    n = len(decoded.batch)
    admitted = Admitted(decoded.batch, n, np.zeros(n, np.int64), key, id_hash, position, 0, nothing, {})
    return Enrich(journeys, USUAL).apply(admitted, partition)


def told(events: Events) -> list[tuple[Any, ...]]:
    """Each event as plain values, words spelled out."""
    numbers = zip(
        events.at.tolist(), events.key.tolist(), events.id_hash.tolist(), events.value_e4.tolist(),
        events.partition.tolist(), events.position.tolist(), events.fate.tolist(),
        events.match.tolist(), events.back.tolist(),
        events.intent.tolist(), strict=True,
    )  # fmt: skip
    words = [[events.known[code] for code in row] for row in events.words.tolist()]
    texts = zip(*(getattr(events, name).arrow().to_pylist() for name in TEXTS), strict=True)
    return [(*one, *word, *text) for one, word, text in zip(numbers, words, texts, strict=True)]


HOSTS = ("", "https://shop.example/a", "https://www.google.co.uk/", "http://t.co/x", "https://m.shop.example")

ROWS: st.SearchStrategy[Row] = st.fixed_dictionaries(
    {"visitor_id": st.sampled_from(["a", "b", "visitor-ç", "d" * 40])},
    optional={
        "at": st.integers(0, 10**8),
        "event": st.sampled_from(
            ["view", "cart", "pay", "order", "emptied", "undo", "page_leave", "purchase"]
        ),
        "order_id": st.sampled_from(["o1", "ö"]),
        "products": st.sampled_from([["p1"], ["p1", "p2"], []]),
        "site": st.sampled_from(["shop", "other"]),
        "user_id": st.sampled_from(["u1", "u2"]),
        "url": st.sampled_from(["https://shop.example/ü", "/path", "https://www.shop.example:8443?q"]),
        "referrer": st.sampled_from(HOSTS),
        "source": st.sampled_from(["google", "Facebook", "é", "newsletter"]),
        "medium": st.sampled_from(["cpc", "organic", "paid_social"]),
        "campaign": st.text(max_size=5),
        "channel": st.sampled_from(["ads", "direct"]),
        "device": st.sampled_from(["mobile", "desktop"]),
        "value": st.integers(0, 100),
        "currency": st.sampled_from(["EUR", "USD"]),
        "passive": st.booleans(),
    },
)
