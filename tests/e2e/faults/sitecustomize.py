"""A fault in a run, for tests: every Python that has this folder on its path imports this by itself.

`FAULT` says where and when: `enrich:ID`, `decode:ID` and `track:ID` fail on the event of that id, as a bug in
our code would; `open` fails before anything is read; `away:FILE` finds the sink away as often as FILE has
lines; `wrong` finds a password wrong.
"""

from __future__ import annotations

import importlib.abc
import os
import sys
from pathlib import Path
from typing import Any

WHERE, _, WHAT = os.environ.get("FAULT", "").partition(":")


def enrich() -> None:
    from pipeline.core.enrich.enrich import Enrich

    apply = Enrich.apply

    def faulty(self: Any, admitted: Any, partition: int) -> Any:
        if WHAT in admitted.batch.column("event_id").to_pylist():
            raise RuntimeError("a fault, for the test")
        return apply(self, admitted, partition)

    Enrich.apply = faulty  # type: ignore[method-assign]


def decode() -> None:
    from pipeline.core.decode.decoder import Decoder

    records = Decoder.records

    def faulty(self: Any, found: Any) -> Any:
        decoded = records(self, found)
        if any(WHAT.encode() in decoded.payload(row) for row in range(decoded.records)):
            raise RuntimeError("a fault, for the test")
        return decoded

    Decoder.records = faulty  # type: ignore[method-assign]


def track() -> None:
    from pipeline.core.track.track import Track

    advance = Track._advance

    def faulty(self: Any, batch: Any, order: Any, until: Any) -> Any:
        if WHAT in batch.take(order).event_id.arrow().to_pylist():
            raise RuntimeError("a fault, for the test")
        return advance(self, batch, order, until)

    Track._advance = faulty  # type: ignore[method-assign]


def open_() -> None:
    from pipeline.sources.files import JsonLinesReader

    def faulty(*_: object, **__: object) -> None:
        raise RuntimeError("a fault, for the test")

    JsonLinesReader.__init__ = faulty  # type: ignore[assignment,method-assign]


def away() -> None:
    from sinks.base import SinkUnavailable
    from sinks.null import NullSink

    write = NullSink.write

    def faulty(self: Any, table: str, batch: Any) -> None:
        left = Path(WHAT).read_text().splitlines()
        if left and table not in ("active_versions", "stages"):
            Path(WHAT).write_text("\n".join(left[1:]))
            raise SinkUnavailable("away, for the test")
        write(self, table, batch)

    NullSink.write = faulty  # type: ignore[method-assign]


def wrong() -> None:
    from sinks.base import SinkRefused
    from sinks.null import NullSink

    write = NullSink.write

    def faulty(self: Any, table: str, batch: Any) -> None:
        if table not in ("active_versions", "stages"):
            raise SinkRefused("wrong password, for the test", "use the right one")
        write(self, table, batch)

    NullSink.write = faulty  # type: ignore[method-assign]


FAULTS = {"enrich": enrich, "decode": decode, "track": track, "open": open_, "away": away, "wrong": wrong}


class _Before(importlib.abc.MetaPathFinder):
    """Puts the fault in just before the flow is put together."""

    def find_spec(self, name: str, path: object, target: object = None) -> None:
        if name == "pipeline.run":
            sys.meta_path.remove(self)
            FAULTS[WHERE]()


if WHERE:
    sys.meta_path.insert(0, _Before())
