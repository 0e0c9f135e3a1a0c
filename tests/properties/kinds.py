"""What objects say of their kinds as steps, told by the oracle: who came to a kind, who went on from it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any
from unittest.mock import patch

from pipeline.core.count.cohorts import NOW
from pipeline.core.count.horizons import HORIZONS_MINUTES
from schemas.journeys import Journey
from schemas.objects import CART, KINDS
from tests import harness
from tests.oracle import Session, Settings
from tests.oracle_objects import Chain, Happening, Life, Thing
from tests.oracle_walk import Row

SEGMENT = ("device", "channel", "country")


def expected(
    partitions: Sequence[Sequence[Row | None]],
    journeys: Sequence[Journey],
    settings: Settings,
    way: harness.Way,
) -> Counter[tuple[Any, ...]]:
    """(what, minute, journey, version, rank, site, device, channel, country, horizon) -> how many."""
    told: Counter[tuple[Any, ...]] = Counter()

    class Watched(Life):
        """Objects, and a count of all that matters to steps."""

        def apply(self, now: Happening) -> None:
            self.now = now.at
            super().apply(now)

        def open(self, kind: int, session: Session, event: Row) -> Thing:
            super().open(kind, session, event)
            assert self.chain is not None
            thing = self.chain.last
            self.came(thing, CART)
            return thing

        def supersede(self, chain: Chain, kind: int, session: Session, event: Row) -> None:
            before = chain.last.kind
            if kind > before:
                self.went_on(chain)
            super().supersede(chain, kind, session, event)
            if kind > before:
                self.came(chain.last, before + 1)

        def end(self, chain: Chain, state: str, at: int) -> None:
            if state == "completed":
                self.went_on(chain)
            super().end(chain, state, at)

        def came(self, thing: Thing, first: int) -> None:
            at = thing.opened_at // 60_000
            for horizon, after in [(NOW, 0), *enumerate(HORIZONS_MINUTES)]:
                told["entered", at + after, *self.place(thing, thing.kind), horizon] += 1
            told["value", at, *self.place(thing, thing.kind), NOW] += min(thing.value, 10**13)
            for one in self.objects.kinds:
                if first <= one.kind < thing.kind:
                    told["skipped", at, *self.place(thing, one.kind), NOW] += 1

        def went_on(self, chain: Chain) -> None:
            thing = next(one for one in chain.things if one.kind == chain.last.kind)
            at = thing.opened_at // 60_000
            for horizon, after in enumerate(HORIZONS_MINUTES):
                if self.now // 60_000 <= at + after:
                    told["went_on", at + after, *self.place(thing, thing.kind), horizon] += 1

        def place(self, thing: Thing, kind: int) -> tuple[Any, ...]:
            site = thing.session.name["site"]
            dims = (thing.dims[name] for name in SEGMENT)
            return self.journey.name, self.journey.version, 16 + kind, site, *dims

    with patch("tests.oracle.Life", Watched):
        harness.expected(partitions, journeys, settings, way)
    return +told


def names(journeys: Sequence[Journey]) -> dict[tuple[str, int, int], tuple[int, str]]:
    """Of each step of kinds, what it is called: rank and name."""
    return {
        (one.name, one.version, 16 + own.kind): (
            16 * own.kind + own.rank,
            f"{KINDS[own.kind - 1]} (abandonment)",
        )
        for one in journeys
        if one.objects
        for own in one.objects.kinds
    }
