"""What holds for every stream, whatever the rules: the oracle keeps its own books in order."""

from __future__ import annotations

from collections import Counter

from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings

from schemas.journeys import Journey
from tests.oracle import Settings, final_rows
from tests.strategies import Stream, worlds

World = tuple[Settings, tuple[Journey, ...], Stream]
FATES = ("accepted", "duplicate", "late", "rejected", "filtered")

few = hypothesis_settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))


@few
@given(worlds())
def test_every_record_has_one_fate(world: World) -> None:
    settings, journeys, stream = world
    rows = final_rows(stream.partitions, journeys, settings)
    total: Counter[str] = sum(rows.conservation.values(), Counter())
    assert total["received"] == sum(total[fate] for fate in FATES) == sum(map(len, stream.partitions))
    assert total["late"] == len(rows.late)
    passive = sum(bool(event and event.get("passive")) for own in stream.partitions for event in own)
    applied = sum(session["events"] for session in rows.sessions)
    assert applied <= total["accepted"] - len(rows.copies)
    if settings.end == "replay":
        assert applied >= total["accepted"] - len(rows.copies) - passive


@few
@given(worlds())
def test_sessions_have_names_of_their_own_and_stays_add_up(world: World) -> None:
    settings, journeys, stream = world
    rows = final_rows(stream.partitions, journeys, settings)
    names = [(row["partition"], row["site"], row["visitor_id"], row["started_at"]) for row in rows.sessions]
    assert len(names) == len(set(names))
    assert len(rows.visits) == len(rows.transitions)
    counts: Counter[str] = sum(rows.funnel.values(), Counter())
    assert counts["entered"] == len(rows.transitions)
    forward = ("advance", "skip", "reenter")
    assert counts["advanced"] == sum(row["kind"] in forward for row in rows.transitions)
    assert counts["recovered"] <= counts["abandoned"]
    if settings.end == "replay":
        assert all(row["is_closed"] for row in rows.sessions)
        assert all(row["settled"] for row in rows.visits)


@few
@given(worlds())
def test_drained_says_nothing_that_a_replay_takes_back(world: World) -> None:
    """What is closed when a stream is drained is the same row once all time has passed."""
    settings, journeys, stream = world
    drained = final_rows(stream.partitions, journeys, as_end(settings, "drained"))
    replayed = final_rows(stream.partitions, journeys, as_end(settings, "replay"))
    closed = [row for row in drained.sessions if row["is_closed"]]
    assert all(row in replayed.sessions for row in closed)
    assert all(row in replayed.transitions for row in drained.transitions)
    for key, counts in drained.funnel.items():
        assert counts <= replayed.funnel[key]


def as_end(settings: Settings, end: str) -> Settings:
    return Settings(**(vars(settings) | {"end": end}))


@few
@given(worlds())
def test_batches_read_every_partition_to_its_end(world: World) -> None:
    *_, stream = world
    taken: Counter[int] = Counter()
    for partition, size in stream.batches:
        assert size > 0
        taken[partition] += size
    assert [taken[number] for number in range(len(stream.partitions))] == list(map(len, stream.partitions))
