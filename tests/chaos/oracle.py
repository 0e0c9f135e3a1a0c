"""The tables that a run left beside what the oracle says of the same records."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Final, cast
from urllib.parse import urlsplit

from pipeline.core.enrich.channels import channel
from schemas.journeys import load_journeys
from tests import harness, oracle
from tests.chaos.left import Left
from tests.chaos.stream import Stream
from tests.differences import as_tables, assert_same
from tests.oracle_walk import Row

JOURNEYS: Final = ("checkout",)


def compare(found: Left, stream: Stream, topic: str, partitioned_by: str) -> dict[str, int]:
    """Raises AssertionError where the tables differ from the oracle's; else how many rows there were."""
    journeys = load_journeys(list(JOURNEYS))
    settings = oracle.Settings(
        partitioned_by=partitioned_by,  # type: ignore[arg-type]
        end="drained",
        first_position=0,
        position_id=lambda partition, offset: f"{topic}:{partition}:{offset:012}",
        orders=harness.CANONICAL.orders,
    )
    told = [[event and with_channel(event) for event in own] for own in stream.events()]
    wanted = oracle.final_rows(told, journeys, settings)
    core = SimpleNamespace(
        sink=found,
        admits=range(stream.partitions),
        is_laned=partitioned_by == "visitor",
        journeys=journeys,
        tracks=[],
    )
    rows = harness.rows_of(cast("harness.Core", core))
    rows.copies = wanted.copies  # they are in no table: what they would have done is
    assert_same(rows, wanted)
    return {name: len(own) for name, own in as_tables(rows).items() if name != "copies"}


def with_channel(event: Row) -> Row:
    """The event with the channel that `enrich` finds where the producer says none: the oracle knows nothing
    of campaigns and referrers.
    """
    host, own = (_host(event.get(name, "")) for name in ("referrer", "url"))
    is_ours = host == own or host.endswith(f".{own}") or own.endswith(f".{host}")
    found = channel(event.get("source", ""), event.get("medium", ""), "" if is_ours else host, own != "")
    return event | {"channel": event.get("channel") or found}


def _host(address: str) -> str:
    return (urlsplit(address).hostname or "").removeprefix("www.")
