"""Several sinks as one: all or none is open, each block reaches all in their order, errors are heard."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pytest

from sinks.base import Deployment, SinkRefused, SinkUnavailable
from sinks.both import Fanout
from sinks.memory import MemorySink
from sinks.registry import open_sink
from tests.sinks.places import OURS, ParquetPlace, rows
from tests.sinks.rows import batch, thing


class LoudSink(MemorySink):
    """Says what is done to it, and fails at what it is told to."""

    def __init__(self, name: str, heard: list[str], fails_at: str = "") -> None:
        super().__init__()
        self.name, self.heard, self.fails_at = name, heard, fails_at

    def _say(self, what: str) -> None:
        self.heard.append(f"{self.name} {what}")
        if what == self.fails_at:
            raise SinkUnavailable(f"{self.name} is gone")

    def open(self, deployment: Deployment) -> None:
        self._say("open")
        super().open(deployment)

    def write(self, table: str, batch: pa.RecordBatch) -> None:
        self._say("write")
        super().write(table, batch)

    def close(self) -> None:
        self._say("close")


ROW = thing()


def test_each_block_reaches_all_in_their_order(tmp_path: Path) -> None:
    place, memory = ParquetPlace(tmp_path), MemorySink()
    both = Fanout([place.sink(), memory])
    both.open(OURS)
    both.write("objects", batch("objects", [ROW]))
    both.close()
    assert rows(place, "objects") == memory.rows("objects").to_pylist() == [ROW]
    heard: list[str] = []
    both = Fanout([LoudSink("first", heard), LoudSink("second", heard)])
    both.open(OURS)
    both.write("objects", batch("objects", [ROW]))
    both.close()
    assert heard == [
        "first open",
        "second open",
        "first write",
        "second write",
        "second close",
        "first close",
    ]


def test_what_the_first_did_not_take_is_not_told_to_the_second() -> None:
    heard: list[str] = []
    both = Fanout([LoudSink("first", heard, "write"), LoudSink("second", heard)])
    both.open(OURS)
    with pytest.raises(SinkUnavailable, match="first is gone"):
        both.write("objects", batch("objects", [ROW]))
    assert "second write" not in heard


def test_where_one_refuses_to_open_none_stays_open() -> None:
    heard: list[str] = []
    both = Fanout([LoudSink("first", heard), LoudSink("second", heard, "open"), LoudSink("third", heard)])
    with pytest.raises(SinkUnavailable, match="second is gone"):
        both.open(OURS)
    assert heard == ["first open", "second open", "first close"]


@pytest.mark.parametrize("failing", ["first", "second"])
def test_all_are_closed_even_where_one_fails(failing: str) -> None:
    heard: list[str] = []
    names = ("first", "second")
    both = Fanout([LoudSink(name, heard, "close" if name == failing else "") for name in names])
    both.open(OURS)
    with pytest.raises(SinkUnavailable, match=f"{failing} is gone"):
        both.close()
    assert heard[-2:] == ["second close", "first close"]


def test_it_refuses_what_one_of_them_refuses(tmp_path: Path) -> None:
    first = open_sink(f"parquet://{tmp_path}")
    first.open(OURS)
    first.close()
    with pytest.raises(SinkRefused, match="belongs to"):
        Fanout([MemorySink(), open_sink(f"parquet://{tmp_path}")]).open(Deployment("other", 8, 1))
