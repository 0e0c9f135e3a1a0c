"""The kernels, compiled (once, then kept on disk) and loaded before the first record is read.

Without this the first seconds of a run would be spent here and there in the flow, unannounced.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Final

import numpy as np

from pipeline.core.admit.admit import Admission, Admit, Partition
from pipeline.core.count.count import Count, Increments
from pipeline.core.decode.decoder import Decoder, TimeBounds
from pipeline.core.enrich.enrich import Enrich, needed_fields
from pipeline.core.facts.facts import FactTables
from pipeline.core.route import route
from pipeline.core.seen import Seen
from pipeline.core.stored import STORED_FIELDS
from pipeline.core.track.layout import Limits
from pipeline.core.track.rules import compile_rules
from pipeline.core.track.track import ALL_TIME, Track
from schemas.journeys import Journey
from schemas.mappings import load_mapping

SHARDS: Final = 2
"""More than one: a single shard is not split, and the kernel that splits would stay cold."""

SHOPPER: Final = b"".join(
    b'{"event_id":"%d","event_at":"2026-01-01T00:0%d:00Z","received_at":"2026-01-01T00:0%d:01Z",'
    b'"event":"%s","visitor_id":"v","user_id":"u","site":"s","url":"https://s/p","referrer":"https://t/",'
    b'"source":"a","device":"b","value":1.5,"currency":"EUR","passive":false}\n' % (n, n, n, name)
    for n, name in enumerate((b"page_view", b"add_to_cart", b"begin_checkout", b"purchase"))
)


def warm(journeys: Sequence[Journey], *, stores_events: bool = False) -> float:
    """Takes one shopper through all steps; returns the seconds it took (long means: compiled now)."""
    began = time.monotonic()
    mapping = load_mapping("canonical")
    kept = STORED_FIELDS if stores_events else ()
    decoder = Decoder(mapping, needed_fields(journeys), TimeBounds(ALL_TIME), kept)
    block = np.frombuffer(SHOPPER + bytes(64), np.uint8)[: len(SHOPPER)]
    decoded, _ = decoder.lines(block, 0, 16)
    admit = Admit(Partition("warm", 0, 0), Admission(10_000, 600_000, 1000, ()))
    admitted = admit.apply(decoded, np.arange(decoded.records))
    events = Enrich(journeys).apply(admitted, 0)
    limits = Limits(1_800_000, 86_400_000, False, False)
    track = Track(compile_rules(journeys), limits, 1, Seen(600_000, 1000))
    facts, count = FactTables(journeys), Count(journeys, 0)
    for pieces, watermark in ((route(events, SHARDS), admitted.watermark), ([], ALL_TIME)):
        for emitted in track.apply(pieces, np.array([watermark])):
            facts.sessions(emitted)
            if len(emitted.transitions):
                facts.transitions(emitted)
            count.apply([Increments(emitted.counts.copy(), emitted.state.words.known)], watermark)
        for emitted in track.tell():
            facts.sessions(emitted)
        track.load(track.dump())
        count.load(count.dump())
    admit.load(admit.dump())
    return time.monotonic() - began
