"""What becomes of abandoned objects: `(state, abandoned and orders, watermark) -> (state', outcomes)`.

Recovered by an order within the window, expired without one, or void: a late order shows that it never was
abandoned. By visitor; nothing here knows of sessions, so that it can go by person.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final, NamedTuple

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from pipeline.core.count.tallies import Increments
from pipeline.core.facts.objects import as_word, at_ms, batch_of, details, ids, seconds
from pipeline.core.follow import ring as rings
from pipeline.core.follow.ring import BOUGHT, CHAIN, EVICTED, NEXT, OLDEST, STATES, Ring
from pipeline.core.rows import CHANNEL, CURRENCY, DEVICE, SITE
from pipeline.core.track.objects.layout import ABANDONED, MANY_PRODUCTS, NOTHING_CLAIMED, Claimed
from pipeline.core.track.objects.objects import Spoken
from pipeline.core.track.track import Emitted
from pipeline.core.words import Words
from schemas.journeys import Journey
from schemas.orders import PLACED
from schemas.tables import OUTCOMES

KEPT_MAX: Final = 1_000_000
"""Abandoned chains that a shard remembers per journey: some 170 MB. Beyond it the oldest expire early, and
say so.
"""
WORDS_SLACK: Final = 1024


class Abandoned(NamedTuple):
    """Chains of one journey that a call of `track` abandoned; words are codes of `known`."""

    journey: int
    chains: NDArray[np.void]  # CHAIN
    carts: NDArray[np.uint64]
    products: NDArray[np.uint32]
    known: list[str]


class Bought(NamedTuple):
    """Orders that a call of `track` applied, in its order."""

    orders: NDArray[np.void]  # BOUGHT
    claimed: Claimed
    order_id: pa.Array
    known: list[str]


def abandoned_of(spoken: Spoken, ranks: NDArray[np.uint8], known: list[str]) -> Abandoned | None:
    """The chains whose end this tells; `ranks` are the stages of kinds."""
    index = np.flatnonzero(spoken.records["state"] == ABANDONED)
    if not len(index):
        return None
    told, words = np.take(spoken.records, index), np.take(spoken.words, index, axis=0)
    chains = np.zeros(len(index), CHAIN)
    chains["key"], chains["h1"], chains["h2"] = told["key"], told["chain_h1"], told["chain_h2"]
    chains["chain_at"], chains["abandoned_at"] = told["chain_at"], told["abandoned_at"]
    chains["site"], chains["device"], chains["channel"] = words[:, SITE], words[:, DEVICE], words[:, CHANNEL]
    chains["kind"], chains["rank"], chains["carts"] = told["kind"], ranks[told["kind"]], told["carts"]
    chains["products"] = np.where(told["flags"] & MANY_PRODUCTS, 0, told["products"])
    return Abandoned(spoken.journey, chains, spoken.carts[index], spoken.products[index], known)


def bought_of(emitted: Emitted) -> Bought | None:
    """The orders that this tells of."""
    events = emitted.events
    placed = events.order[emitted.intents["row"]] == PLACED
    told = emitted.intents[placed]
    if not len(told):
        return None
    row, claimed = told["row"], Claimed(*(column[placed] for column in emitted.claimed))
    orders = np.zeros(len(told), BOUGHT)
    orders["key"], orders["at"] = told["key"], told["at"]
    orders["happened_at"] = told["at"] - claimed.lag_ms
    orders["value_e4"], orders["currency"] = events.value_e4[row], events.words[row, CURRENCY]
    return Bought(orders, claimed, details(events, row)[0], events.known)


class Follow:
    """One shard's abandoned chains."""

    def __init__(self, journeys: Sequence[Journey], kept_max: int = KEPT_MAX) -> None:
        self._journeys = journeys
        self.kept_max = kept_max
        self.words = Words()
        self.rings = {j: rings.empty(64) for j, journey in enumerate(journeys) if journey.objects}
        self.moved = False
        """Whether chains have other places than when `changes` was last asked for the first."""

    @property
    def remembered(self) -> int:
        """Chains in memory."""
        return sum(int(ring.sizes[NEXT] - ring.sizes[OLDEST]) for ring in self.rings.values())

    @property
    def bytes(self) -> int:
        """Bytes of all arrays."""
        return sum(array.nbytes for ring in self.rings.values() for array in ring)

    @property
    def evicted(self) -> int:
        """Chains that expired early, because too many were remembered."""
        return sum(int(ring.sizes[EVICTED]) for ring in self.rings.values())

    def apply(
        self, abandoned: Sequence[Abandoned], bought: Sequence[Bought], watermark: int
    ) -> tuple[list[pa.RecordBatch], list[Increments]]:
        """Rows of `outcomes`, and what they count."""
        rows: list[pa.RecordBatch] = []
        counted: list[Increments] = []
        orders, claimed, order_id = self._orders(bought)
        for j in self.rings:
            mine = [part for part in abandoned if part.journey == j]
            found = self._apply(j, mine, orders, claimed, watermark)
            outcomes, counts = found.sizes.tolist()
            if outcomes:
                rows.append(self._rows(j, found.outcomes[:outcomes], order_id))
            if counts:
                counted.append(Increments(found.counts[:counts], self.words.known))
        self._forget_words()
        return rows, counted

    def _apply(
        self, j: int, parts: list[Abandoned], orders: NDArray[np.void], claimed: Claimed, watermark: int
    ) -> rings.Found:
        objects = self._journeys[j].objects
        assert objects is not None
        chains, carts, products = self._sorted(parts)
        if len(chains):
            self._grow(j, len(chains))
        ring = self.rings[j]
        found = rings.room(2 * (len(chains) + int(ring.sizes[NEXT] - ring.sizes[OLDEST])))
        rings.apply(
            ring, found, chains, carts, products, orders, (claimed.cart, claimed.products), claimed.known,
            objects.recovery_window_ms, j, self.kept_max, watermark,
        )  # fmt: skip
        return found

    def _sorted(
        self, parts: list[Abandoned]
    ) -> tuple[NDArray[np.void], NDArray[np.uint64], NDArray[np.uint32]]:
        """The chains by time, in the words of this state."""
        empty = rings.empty(0)
        if not parts:
            return empty.chains, empty.carts, empty.products
        chains = np.concatenate([self._recoded(part) for part in parts])
        order = np.lexsort((chains["h2"], chains["h1"], chains["abandoned_at"]))
        carts = np.concatenate([part.carts for part in parts])[order]
        return chains[order], carts, np.concatenate([part.products for part in parts])[order]

    def _recoded(self, part: Abandoned) -> NDArray[np.void]:
        for name in ("site", "device", "channel"):
            part.chains[name] = self._codes(part.chains[name], part.known)
        return part.chains

    def _codes(self, codes: NDArray[np.int32], known: list[str]) -> NDArray[np.int32]:
        used, local = np.unique(codes, return_inverse=True)
        return self.words.codes([known[code] for code in used.tolist()])[local.reshape(-1)]

    def _orders(self, bought: Sequence[Bought]) -> tuple[NDArray[np.void], Claimed, pa.Array]:
        """All orders by time, as they came at one and the same."""
        if not bought:
            return np.empty(0, BOUGHT), NOTHING_CLAIMED, pa.array([], pa.string())
        for part in bought:
            part.orders["currency"] = self._codes(part.orders["currency"], part.known)
        orders = np.concatenate([part.orders for part in bought])
        order = np.argsort(orders["at"], kind="stable")
        columns = zip(*(part.claimed for part in bought), strict=True)
        claimed = Claimed(*(np.concatenate(column)[order] for column in columns))
        ids = pa.concat_arrays([part.order_id for part in bought]).take(pa.array(order))
        return orders[order], claimed, ids

    def _grow(self, j: int, more: int) -> None:
        """Room for `more` chains, up to the cap."""
        old = self.rings[j]
        need = min(int(old.sizes[NEXT] - old.sizes[OLDEST]) + more, self.kept_max)
        if need <= len(old.chains):
            return
        number = np.arange(old.sizes[OLDEST], old.sizes[NEXT])
        places = number & (len(old.chains) - 1)
        alive = old.chains[places], old.carts[places], old.products[places]
        fresh = _laid_out(number, alive, old.sizes, 1 << (2 * need - 1).bit_length())
        fresh.dirty[number & (len(fresh.chains) - 1)] = old.dirty[places]
        self.rings[j], self.moved = fresh, True

    def _rows(self, j: int, told: NDArray[np.void], order_id: pa.Array) -> pa.RecordBatch:
        n, known, journey = len(told), self.words.known, self._journeys[j]
        ordered = pa.array(np.where(told["order"] >= 0, told["order"], 0), mask=told["order"] < 0)
        columns = {
            "site": as_word(told["site"], known),
            "journey": as_word(np.zeros(n, np.int32), [journey.name]),
            "journey_version": pa.array(np.full(n, journey.version, np.uint16)),
            "chain_id": ids(told, ""),
            "time": seconds(told["abandoned_at"]),
            "state": as_word(told["state"], STATES),
            "resolved_at": at_ms(told["resolved_at"]),
            "order_id": order_id.take(ordered).fill_null(""),
            "recovered_value_e4": pa.array(told["value_e4"]),
            "currency": as_word(told["currency"], known),
            "is_evicted": pa.array(told["is_evicted"] != 0),
            "version": pa.array(told["version"]),
        }
        return batch_of(columns, OUTCOMES)

    def _forget_words(self) -> None:
        """Drops the words of chains that are forgotten, when they have become many."""
        if len(self.words.known) > 4 * (self.remembered + WORDS_SLACK):
            fresh = Words()
            for ring in self.rings.values():
                places = np.arange(ring.sizes[OLDEST], ring.sizes[NEXT]) & (len(ring.chains) - 1)
                ring.chains[places] = _reworded(ring.chains[places], self.words, fresh)
            self.words = fresh

    # --- snapshots: frames of chains, each with its number and its own words ---

    @property
    def rows(self) -> int:
        """Places: what a sweep has to pass."""
        return max((len(ring.chains) for ring in self.rings.values()), default=0)

    @property
    def dirty(self) -> int:
        """Chains that have changed since `changes` was asked for, and are remembered or were."""
        return sum(int(np.count_nonzero(ring.dirty)) for ring in self.rings.values())

    def dump(self) -> dict[str, Any]:
        """State for a snapshot: what is remembered, and the words that it uses."""
        return {"frames": [self.changes(0, self.rows)], "rest": self.rest()}

    def rest(self) -> dict[str, Any]:
        """All of the state but what `changes` tells of."""
        return {"sizes": [ring.sizes for ring in self.rings.values()]}

    def changes(self, first: int, stop: int) -> dict[str, Any]:
        """The chains that have changed since this was last asked for, and those in the places from `first` to
        `stop`.
        """
        self.moved = self.moved and first > 0
        words = Words()
        frames = []
        for ring in self.rings.values():
            told = ring.dirty.copy()
            told[first:stop] = True
            ring.dirty[:] = False
            places, oldest = np.flatnonzero(told), int(ring.sizes[OLDEST])
            number = oldest + ((places - oldest) & (len(ring.chains) - 1))
            is_alive = number < ring.sizes[NEXT]
            places, number = places[is_alive], number[is_alive]
            chains = _reworded(ring.chains[places], self.words, words)
            columns = {"carts": ring.carts[places], "products": ring.products[places]}
            frames.append({"number": number, "chains": chains, **columns})
        return {"rings": frames, "words": words.known}

    def load(self, dumped: dict[str, Any]) -> None:
        """Goes on from what `dump` wrote, or `rest` and `changes`."""
        self.words, self.moved = Words(), False
        sizes = [np.array(own) for own in dumped["rest"]["sizes"]]
        for (j, _), own in zip(list(self.rings.items()), sizes, strict=True):
            self.rings[j] = _of(own)
        for frame in dumped["frames"]:
            words = Words(frame["words"])
            for ring, own in zip(self.rings.values(), frame["rings"], strict=True):
                number = np.asarray(own["number"])
                alive = number >= ring.sizes[OLDEST]
                places = number[alive] & (len(ring.chains) - 1)
                ring.chains[places] = _reworded(np.array(own["chains"])[alive], words, self.words)
                ring.carts[places], ring.products[places] = own["carts"][alive], own["products"][alive]
        for ring in self.rings.values():
            rings.file_all(ring)


def _reworded(chains: NDArray[np.void], words: Words, into: Words) -> NDArray[np.void]:
    """Copies of chains, in the codes of other words."""
    for name in ("site", "device", "channel"):
        used, local = np.unique(chains[name], return_inverse=True)
        codes = into.codes([words.known[code] for code in used.tolist()])
        chains[name] = codes[local.reshape(-1)] if len(chains) else chains[name]
    return chains


def _of(sizes: NDArray[np.int64]) -> Ring:
    """A ring with room for as many chains as these sizes tell of, which are to come."""
    ring = rings.empty(1 << max(2 * int(sizes[NEXT] - sizes[OLDEST]) - 1, 63).bit_length())
    ring.sizes[:] = sizes
    return ring


def _laid_out(
    number: NDArray[np.int64],
    alive: tuple[NDArray[np.void], NDArray[np.uint64], NDArray[np.uint32]],
    sizes: NDArray[np.int64],
    capacity: int,
) -> Ring:
    """A ring of this capacity with these chains."""
    ring = rings.empty(capacity)
    ring.sizes[:] = sizes
    places = number & (capacity - 1)
    ring.chains[places], ring.carts[places], ring.products[places] = alive
    rings.file_all(ring)
    return ring
