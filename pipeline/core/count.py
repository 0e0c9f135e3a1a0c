"""Minute counters of one shard: absolute values that only grow, per stage, device, channel, currency.

A row is written whenever it changed and leaves the state when the watermark has passed its minute:
nothing can change it then.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from pipeline.core.seen import MINUTE_MS
from pipeline.core.words import Words
from schemas.journeys import Journey
from schemas.tables import FUNNEL_COUNTS, FUNNEL_MINUTE

KEY: Final = ("minute", "site", "device", "channel", "currency", "journey", "rank")
ROW: Final = np.dtype(
    [
        ("minute", np.int64),
        ("site", np.int32),
        ("device", np.int32),
        ("channel", np.int32),
        ("currency", np.int32),
        ("journey", np.int32),
        ("rank", np.int32),
        ("counts", np.int64, len(FUNNEL_COUNTS)),
        ("value_e4", np.int64),
    ]
)


@dataclass(frozen=True)
class Increments:
    """What one call of `track` counted: COUNT_OUT rows, with their words."""

    rows: NDArray[np.void]
    known: list[str]


class Count:
    """One shard's counters of minutes that can still change."""

    def __init__(self, journeys: Sequence[Journey], shard: int) -> None:
        self.journeys = journeys
        self.shard = shard
        self.words = Words()
        self.rows = np.empty(0, ROW)

    def apply(self, increments: Sequence[Increments], watermark: int) -> pa.RecordBatch | None:
        """Adds `increments`; returns the rows they changed. `watermark` is the least of all lanes."""
        changed = [self._recode(part) for part in increments if len(part.rows)]
        batch = None
        if changed:
            self.rows, touched = _add(self.rows, np.concatenate(changed))
            batch = self._batch(self.rows[touched])
        self.rows = self.rows[self.rows["minute"] + MINUTE_MS > watermark]
        if not len(self.rows):
            self.words = Words()
        return batch

    def _recode(self, part: Increments) -> NDArray[np.void]:
        """Increments as rows of this state, one per key."""
        used = np.unique(part.rows[["site", "device", "channel", "currency"]])
        names = sorted({code for row in used.tolist() for code in row})
        remap = np.zeros(max(names) + 1, np.int32)
        remap[names] = self.words.codes([part.known[code] for code in names])
        rows = np.zeros(len(part.rows), ROW)
        for name in ("minute", "journey", "rank", "value_e4"):
            rows[name] = part.rows[name]
        for name in ("site", "device", "channel", "currency"):
            rows[name] = remap[part.rows[name]]
        rows["counts"][np.arange(len(rows)), part.rows["what"]] = 1
        return _add(np.empty(0, ROW), rows)[0]

    def _batch(self, rows: NDArray[np.void]) -> pa.RecordBatch:
        n = len(rows)
        stages = [""] * (16 * len(self.journeys))
        for j, journey in enumerate(self.journeys):
            for stage in journey.stages:
                stages[16 * j + stage.rank] = stage.name
        versions = np.array([journey.version for journey in self.journeys], np.uint16)
        columns: dict[str, Any] = {
            "site": self.words.column(rows["site"]),
            "journey": _names(rows["journey"], [journey.name for journey in self.journeys]),
            "journey_version": pa.array(versions[rows["journey"]]),
            "time": pa.array(rows["minute"] // 1000).view(FUNNEL_MINUTE.field("time").type),
            "stage": _names(rows["journey"] * 16 + rows["rank"], stages),
            "rank": pa.array(rows["rank"].astype(np.uint8)),
            "device": self.words.column(rows["device"]),
            "channel": self.words.column(rows["channel"]),
            "currency": self.words.column(rows["currency"]),
            "shard": pa.array(np.full(n, self.shard, np.uint16)),
            **{
                name: pa.array(rows["counts"][:, k].astype(np.uint64)) for k, name in enumerate(FUNNEL_COUNTS)
            },
            "value_e4": pa.array(np.ascontiguousarray(rows["value_e4"])),
        }
        return pa.record_batch([columns[name] for name in FUNNEL_MINUTE.names], schema=FUNNEL_MINUTE)

    def dump(self) -> dict[str, Any]:
        """State for a snapshot."""
        return {"rows": self.rows, "words": self.words.known}

    def load(self, dumped: dict[str, Any]) -> None:
        """Goes on from what `dump` wrote."""
        self.rows = dumped["rows"]
        self.words = Words(dumped["words"])


def _names(codes: NDArray[np.int32], names: list[str]) -> pa.DictionaryArray:
    return pa.DictionaryArray.from_arrays(pa.array(np.ascontiguousarray(codes)), pa.array(names, pa.string()))


def _add(rows: NDArray[np.void], more: NDArray[np.void]) -> tuple[NDArray[np.void], NDArray[np.int64]]:
    """`rows` with `more` added by key, and the numbers of the rows that `more` touched."""
    both = np.concatenate([rows, more])
    order = np.lexsort([both[name] for name in reversed(KEY)])
    ordered = both[order]
    first = np.ones(len(both), np.bool_)
    first[1:] = np.any([ordered[name][1:] != ordered[name][:-1] for name in KEY], axis=0)
    starts = np.flatnonzero(first)
    out = ordered[starts]
    out["counts"] = np.add.reduceat(ordered["counts"], starts)
    out["value_e4"] = np.add.reduceat(ordered["value_e4"], starts)
    touched = np.add.reduceat((order >= len(rows)).astype(np.int64), starts)
    return out, np.flatnonzero(touched)
