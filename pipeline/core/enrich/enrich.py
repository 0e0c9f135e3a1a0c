"""What follows from one event alone: its channel, and the stages that its journeys' rules give it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np
import pyarrow as pa
from numba import njit
from numpy.typing import NDArray

from pipeline.core.admit.admit import Admitted
from pipeline.core.decode.columns import words
from pipeline.core.decode.scan import STRING
from pipeline.core.enrich.channels import channel
from pipeline.core.enrich.intents import Intents, asked_for
from pipeline.core.events import Events, Text
from pipeline.core.predicates import rule_bits
from pipeline.core.raw import borrowed
from pipeline.core.rows import CHANNEL, LATE, ORDER_SHIFT, PASSIVE
from pipeline.core.strings import string_buffers
from pipeline.core.words import KINDS
from schemas.events import ALWAYS, VIEWS
from schemas.journeys import Journey
from schemas.objects import Objects
from schemas.orders import Orders
from schemas.predicates import fields_of

MARKED_MAX: Final = 1 << 20
"""Codes below it are marked one by one; with more, sorting is cheaper than a table of them all."""


def needed_fields(journeys: Sequence[Journey], orders: Orders | None = None) -> tuple[str, ...]:
    """The canonical fields that sessions, views, orders and these journeys ask for."""
    asked = {name for journey in journeys for rule in journey.rules for name in fields_of(rule.predicate)}
    meant: list[Objects | Orders] = [journey.objects for journey in journeys if journey.objects]
    asked |= {name for one in [*meant, *([orders] if orders else [])] for name in asked_for(one)}
    return tuple(dict.fromkeys((*ALWAYS, *VIEWS, *sorted(asked))))


class Enrich:
    """Makes `Events` of admitted batches, for the journeys of a deployment."""

    def __init__(self, journeys: Sequence[Journey], orders: Orders | None = None) -> None:
        self.journeys = [(journey, [rule.predicate for rule in journey.rules]) for journey in journeys]
        self.intents = Intents([journey.objects for journey in journeys if journey.objects], orders)

    def apply(self, admitted: Admitted, partition: int) -> Events:
        batch = admitted.batch
        n = len(batch)
        match = np.zeros((n, len(self.journeys)), np.uint8)
        back = np.zeros((n, len(self.journeys)), np.uint16)
        looking_back = []
        for j, (journey, predicates) in enumerate(self.journeys):
            holds = rule_bits(predicates, batch)
            _stages(journey, holds, match[:, j], back[:, j])
            if not journey.is_stateless:
                looking_back.append(holds)
        codes, known = _words(batch)
        order, intent, detail = self.intents.of(batch, admitted.lag_ms)
        passive = batch.column("passive").to_numpy(zero_copy_only=False)
        late = admitted.lag_ms != 0
        return Events(
            at=batch.column("event_at").cast(pa.int64()).to_numpy() + admitted.lag_ms,
            key=admitted.key,
            id_hash=admitted.id_hash,
            value_e4=batch.column("value").to_numpy(),
            partition=np.full(n, partition, np.int32),
            position=admitted.position,
            fate=passive * np.uint8(PASSIVE) | late * np.uint8(LATE) | order << np.uint8(ORDER_SHIFT),
            match=match,
            bits=np.stack(looking_back, axis=1) if looking_back else np.empty((n, 0), np.uint32),
            back=back,
            intent=intent,
            words=codes,
            event_id=Text.of(batch.column("event_id")),
            visitor=Text.of(batch.column("visitor_id")),
            user=Text.of(batch.column("user_id")),
            url=Text.of(batch.column("url")),
            detail=detail,
            known=known,
        )


def _stages(
    journey: Journey, bits: NDArray[np.uint32], match: NDArray[np.uint8], back: NDArray[np.uint16]
) -> None:
    """From a bit per rule: the highest stage, and the stages that explicit evidence leads back to."""
    for rule in journey.rules:
        holds = (bits >> np.uint32(rule.bit)) & np.uint32(1)
        if rule.kind == "enter":
            np.maximum(match, (holds * rule.rank).astype(np.uint8), out=match)
        else:
            back |= (holds << rule.rank).astype(np.uint16)


def _words(batch: pa.RecordBatch) -> tuple[NDArray[np.int32], list[str]]:
    """The word columns as one matrix of codes into one list of distinct words."""
    known: dict[str, int] = {"": 0}
    matrix = np.empty((len(batch), len(KINDS)), np.int32)
    for k, name in enumerate(KINDS):
        column = batch.column(name)
        codes = [known.setdefault(word, len(known)) for word in column.dictionary.to_pylist()]
        np.take(np.array(codes or [0], np.int32), column.indices.to_numpy(), out=matrix[:, k], mode="clip")
    _channels(batch, matrix, known)
    return matrix, list(known)


def _distinct(codes: NDArray[np.int64], stop: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """The distinct ones of `codes`, all below `stop`, ascending, and which of them each is."""
    if stop > MARKED_MAX:
        return np.unique(codes, return_inverse=True)
    occurs = np.zeros(stop, np.bool_)
    occurs[codes] = True
    found = np.flatnonzero(occurs)
    place = np.zeros(stop, np.int64)
    place[found] = np.arange(len(found))
    return found, place[codes]


def _channels(batch: pa.RecordBatch, matrix: NDArray[np.int32], known: dict[str, int]) -> None:
    """Fills the channel where the producer gave none, by distinct (source, medium, referring host)."""
    missing = matrix[:, CHANNEL] == 0
    if not missing.any():
        return
    hosts, host_names = _referring_hosts(batch)
    source, medium = batch.column("source"), batch.column("medium")
    sources, mediums = source.dictionary.to_pylist(), medium.dictionary.to_pylist()
    codes = source.indices.to_numpy().astype(np.int64) * len(mediums) + medium.indices.to_numpy()
    codes = codes * (2 * len(host_names)) + hosts
    found, local = _distinct(codes[missing], len(sources) * len(mediums) * 2 * len(host_names))
    named = []
    for code in found.tolist():
        pair, host = divmod(code, 2 * len(host_names))
        pair = divmod(pair, len(mediums))
        named.append(channel(sources[pair[0]], mediums[pair[1]], host_names[host // 2], host % 2 == 1))
    numbers = np.array([known.setdefault(word, len(known)) for word in named], np.int32)
    matrix[missing, CHANNEL] = numbers[local]


def _referring_hosts(batch: pa.RecordBatch) -> tuple[NDArray[np.int32], list[str]]:
    """Of each event: twice the number of its referrer's host in a list ('' for the page's own), and 1 more
    where the page's own host is known.
    """
    offsets, data = string_buffers(batch.column("referrer"))
    if not len(offsets) or offsets[-1] == offsets[0]:
        return np.zeros(len(batch), np.int32), [""]
    url_offsets, url = string_buffers(batch.column("url"))
    pos, length = np.empty((2, len(batch)), np.int32)
    own = np.empty(len(batch), np.bool_)
    _hosts(data, offsets, url, url_offsets, pos, length, own)
    kind = np.full(len(batch), STRING, np.uint8)
    codes, names = words(data, pos, length, kind, np.zeros(len(batch), np.bool_))
    return 2 * codes + own, names


@njit(nogil=True, forceinline=True)
def _host(data, start, stop):  # type: ignore[no-untyped-def]
    """(start, stop) of the host in scheme://host..., without www., empty where there is none."""
    for k in range(start, stop - 2):
        if data[k] == 58 and data[k + 1] == 47 and data[k + 2] == 47:
            k += 3
            end = k
            while end < stop and data[end] not in (47, 58, 63, 35):
                end += 1
            www = end - k > 4 and data[k + 3] == 46
            for letter in range(3):
                www = www and data[k + letter] | 32 == 119
            return k + 4 if www else k, end
    return start, start


@njit(cache=True, nogil=True)
def _hosts(data, offsets, url, url_offsets, pos, length, own):  # type: ignore[no-untyped-def]
    """Where the host of each referrer is; of length 0 where it is the page's, or one is a subdomain of the
    other (checkout.shop.example and shop.example are one site).
    """
    data, offsets, url, url_offsets = borrowed(data), borrowed(offsets), borrowed(url), borrowed(url_offsets)
    for r in range(pos.shape[0]):
        a, a_stop = _host(data, offsets[r], offsets[r + 1])
        b, b_stop = _host(url, url_offsets[r], url_offsets[r + 1])
        n = min(a_stop - a, b_stop - b)
        same = n > 0
        for k in range(1, n + 1):
            if data[a_stop - k] | 32 != url[b_stop - k] | 32:
                same = False
                break
        if same and a_stop - a > n:
            same = data[a_stop - n - 1] == 46
        if same and b_stop - b > n:
            same = url[b_stop - n - 1] == 46
        pos[r] = a
        length[r] = 0 if same else a_stop - a
        own[r] = b_stop > b
