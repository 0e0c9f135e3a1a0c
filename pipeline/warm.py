"""The kernels, compiled (once, then kept on disk) and loaded before the first record is read.

Without this the first seconds of a run would be spent here and there in the flow, unannounced.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Sequence
from typing import Final

import numpy as np

from pipeline.core.admit.admit import Admission, Admit, Partition
from pipeline.core.count.cohorts import Cohorts, Moves
from pipeline.core.count.count import Count
from pipeline.core.count.tallies import Increments
from pipeline.core.decode.decoder import Decoder, TimeBounds
from pipeline.core.detect import Detector
from pipeline.core.detect.gather import ENDED, Gather, Settled
from pipeline.core.enrich.enrich import Enrich, needed_fields
from pipeline.core.events import Events
from pipeline.core.facts.tables import Tables
from pipeline.core.follow.follow import Follow, abandoned_of, bought_of
from pipeline.core.orders.orders import Orders, claims
from pipeline.core.route import route
from pipeline.core.seen import MINUTE_MS, Seen
from pipeline.core.stored import STORED_FIELDS
from pipeline.core.track.layout import Limits
from pipeline.core.track.objects.objects import Objects, Spoken
from pipeline.core.track.rules import compile_rules
from pipeline.core.track.track import ALL_TIME, Emitted, Track
from schemas.journeys import Journey
from schemas.mappings import load_mapping

SHARDS: Final = 2
"""More than one: a single shard is not split, and the kernel that splits would stay cold."""

SHOPPER: Final = b"".join(
    b'{"event_id":"%d","event_at":"2026-01-01T00:0%d:00Z","received_at":"2026-01-01T00:0%d:01Z",'
    b'"event":"%s","visitor_id":"v","user_id":"u","site":"s","url":"https://s/p","referrer":"https://t/",'
    b'"source":"a","device":"b","value":1.5,"currency":"EUR","passive":false,"cart_id":"c","products":["p"]}\n'
    % (n, n, n, name)
    for n, name in enumerate((b"view_item", b"add_to_cart", b"begin_checkout", b"purchase", b"view_item"))
)


def warm(journeys: Sequence[Journey], *, stores_events: bool = False) -> float:
    """Takes one shopper through all steps; returns the seconds it took (long means: compiled now)."""
    began = time.monotonic()
    mapping = load_mapping("canonical")
    kept = STORED_FIELDS if stores_events else ()
    decoder = Decoder(mapping, needed_fields(journeys, mapping.orders), TimeBounds(ALL_TIME), kept)
    block = np.frombuffer(SHOPPER + bytes(64), np.uint8)[: len(SHOPPER)]
    decoded, _ = decoder.lines(block, 0, 16)
    admit = Admit(Partition("warm", 0, 0), Admission(10_000, 600_000, 1000, ()))
    admitted = admit.apply(decoded, np.arange(decoded.records))
    events = Enrich(journeys, mapping.orders).apply(admitted, 0)
    _warm_orders(events)
    limits = Limits(1_800_000, 86_400_000, False, False)
    numbered = [(j, journey) for j, journey in enumerate(journeys) if journey.objects]
    objects = [Objects(journey, j, column) for column, (j, journey) in enumerate(numbered)]
    track = Track(compile_rules(journeys), limits, 1, Seen(600_000, 1000), objects)
    rest = _Rest(journeys, track)
    for pieces, watermark in ((route(events, SHARDS), admitted.watermark), ([], ALL_TIME)):
        rest.apply(track.apply(pieces, np.array([watermark])), watermark)
        rest.apply(track.tell(), watermark)
        track.load(track.dump())
        rest.reload()
    admit.load(admit.dump())
    return time.monotonic() - began


def _warm_orders(events: Events) -> None:
    orders = Orders()
    orders.apply([claims(events, [0])], ALL_TIME)
    orders.load(orders.dump())


class _Rest:
    """The steps after `track`."""

    def __init__(self, journeys: Sequence[Journey], track: Track) -> None:
        self.track = track
        self.tables, self.follow, self.count = Tables(journeys), Follow(journeys), Count(journeys, 0)
        self.moves, self.cohorts = Moves(journeys, [True] * len(journeys)), Cohorts()
        self.gather, self.detector = Gather(journeys, 1), Detector()

    def apply(self, told: Iterable[Emitted | Spoken], watermark: int) -> None:
        abandoned, bought, increments, cohorts = [], [], [], []
        known = self.track.state.words.known
        for one in told:
            list(self.tables.rows(one, self.track.state.words))
            increments.append(Increments(one.counts.copy(), known))
            if isinstance(one, Spoken):
                abandoned.append(abandoned_of(one, self.tables.objects.ranks(one.journey), known))
                moved = self.moves.of_objects(one, known)
                cohorts += [moved] if moved else []
            else:
                bought.append(bought_of(one))
                cohorts.append(self.moves.count(one))
        _, more = self.follow.apply([a for a in abandoned if a], [b for b in bought if b], watermark)
        self.count.apply([*increments, *more], watermark)
        passed = ENDED if watermark >= ALL_TIME else watermark // MINUTE_MS - 1
        settled = Settled(0, self.cohorts.apply(cohorts, watermark), self.cohorts.tallies.words.known, passed)
        for minute in self.gather.apply([settled]):
            self.detector.apply(minute)

    def reload(self) -> None:
        self.follow.load(self.follow.dump())
        self.count.load(self.count.dump())
        self.cohorts.load(self.cohorts.dump())
