"""The core keeps its books in order by itself: what one table says, the others confirm."""

from __future__ import annotations

from collections import Counter, defaultdict
from itertools import pairwise
from typing import Any

from hypothesis import given

from schemas.journeys import Journey
from tests.harness import run_core
from tests.oracle import Rows, Settings
from tests.oracle_walk import MINUTE, Row
from tests.properties.ways import World, tangles

FATES = ("accepted", "duplicate", "late", "rejected", "filtered")
SESSION = ("partition", "site", "visitor_id", "started_at")
WALK = (*SESSION, "journey", "journey_version")


def key(row: Row, names: tuple[str, ...]) -> tuple[Any, ...]:
    return tuple(row[name] for name in names)


@given(tangles())
def test_the_books_of_the_core_are_in_order(world: World) -> None:
    settings, journeys, partitions, way = world
    rows = run_core(partitions, journeys, settings, way)
    every_record_has_one_fate(rows, partitions)
    sessions_do_not_overlap(rows, settings)
    transitions_are_numbered_and_lead_from_one_to_the_next(rows)
    every_stay_is_told_once_and_ends_at_most_once(rows, settings)
    counters_say_what_the_facts_say(rows, journeys)


def every_record_has_one_fate(rows: Rows, partitions: list[list[Row | None]]) -> None:
    for counts in rows.conservation.values():
        assert counts["received"] == sum(counts[fate] for fate in FATES)
    total: Counter[str] = sum(rows.conservation.values(), Counter())
    assert total["received"] == sum(map(len, partitions))
    assert (total["late"], total["rejected"]) == (len(rows.late), len(rows.rejected))


def sessions_do_not_overlap(rows: Rows, settings: Settings) -> None:
    visitors = defaultdict(list)
    for row in rows.sessions:
        visitors[key(row, SESSION[:3])].append(row)
    for own in visitors.values():
        own.sort(key=lambda row: row["started_at"])
        for before, after in pairwise(own):
            assert before["is_closed"]
            assert before["started_at"] < after["started_at"]
            assert before["ended_at"] <= after["started_at"]
        assert all(row["ended_at"] - row["started_at"] <= settings.length_max_ms for row in own)


def walks(rows: Rows) -> dict[tuple[Any, ...], list[Row]]:
    """The transitions of each session and journey, in order."""
    found = defaultdict(list)
    for row in sorted(rows.transitions, key=lambda row: row["sequence"]):
        found[key(row, WALK)].append(row)
    return found


def transitions_are_numbered_and_lead_from_one_to_the_next(rows: Rows) -> None:
    for steps in walks(rows).values():
        assert [step["sequence"] for step in steps] == list(range(1, len(steps) + 1))
        assert (steps[0]["kind"], steps[0]["from_stage"]) == ("enter", "")
        for before, after in pairwise(steps):
            assert (after["from_stage"], after["from_rank"]) == (before["to_stage"], before["to_rank"])
            assert before["at"] == after["from_entered_at"] <= after["at"]
            assert (after["kind"] == "regress") == (after["to_rank"] < after["from_rank"])


def every_stay_is_told_once_and_ends_at_most_once(rows: Rows, settings: Settings) -> None:
    steps = walks(rows)
    stands = {
        (*key(session, SESSION), entry["journey"], entry["journey_version"]): (session, entry)
        for session in rows.sessions
        for entry in session["journeys"]
    }
    assert steps.keys() == stands.keys()
    assert len(rows.visits) == len(rows.transitions)  # each begins a stay
    for walk, (session, entry) in stands.items():
        last = steps[walk][-1]
        assert (entry["visit_stage"], entry["visit_entered_at"]) == (last["to_stage"], last["at"])
        assert entry["path"].split(">") == [step["to_stage"] for step in steps[walk][:16]]
        assert (entry["visit_left_by"] == "open") == (entry["visit_left_at"] == 0)
        assert entry["visit_settled"] == (entry["visit_left_by"] != "open")
        if session["is_closed"]:
            assert entry["visit_settled"]
            assert entry["outcome"] != "open"


def counters_say_what_the_facts_say(rows: Rows, journeys: tuple[Journey, ...]) -> None:
    counted: Counter[tuple[Any, ...]] = Counter()
    for (site, journey, version, minute, stage, *_), counts in rows.funnel.items():
        for name in ("entered", "advanced", "recovered", "converted"):
            counted[site, journey, version, minute, stage, name] += counts[name]
    facts: Counter[tuple[Any, ...]] = Counter()
    won = set()
    goals = {journey.name: journey.conversion for journey in journeys}
    for row in sorted(rows.transitions, key=lambda row: row["sequence"]):
        at = (row["site"], row["journey"], row["journey_version"], row["at"] // MINUTE * MINUTE)
        facts[*at, row["to_stage"], "entered"] += 1
        if row["from_stage"] and row["kind"] != "regress":
            facts[*at, row["from_stage"], "advanced"] += 1
            fired = 0 < row["from_deadline_at"] < row["at"]
            facts[*at, row["from_stage"], "recovered"] += fired
        if row["to_rank"] == goals[row["journey"]] and key(row, WALK) not in won:
            won.add(key(row, WALK))
            facts[*at, row["to_stage"], "converted"] += 1
    with_objects = {journey.name for journey in journeys if journey.objects}
    counted = Counter(
        {at: n for at, n in counted.items() if at[1] not in with_objects or at[-1] != "recovered"}
    )
    assert +counted == +facts
    objects_are_counted(rows)
    if not with_objects:
        stays_are_counted(rows)


def objects_are_counted(rows: Rows) -> None:
    """Each abandoned chain once in its minute, and each that came back or never was one."""
    lost = Counter(
        (row["site"], row["journey"], row["abandoned_at"] // MINUTE * MINUTE, row["stage"])
        for row in rows.objects
        if row["state"] == "abandoned"
    )
    found: Counter[tuple[Any, ...]] = Counter()
    names = {row["journey"] for row in rows.objects}
    for (site, journey, _, minute, stage, *_), counts in rows.funnel.items():
        if journey in names:
            found[site, journey, minute, stage] += counts["abandoned"]
    assert +found == lost
    ends = Counter(row["state"] for row in rows.outcomes)
    taken_back = [counts for (_, journey, *_), counts in rows.funnel.items() if journey in names]
    assert sum(counts["voided"] for counts in taken_back) == ends["void"]
    assert sum(counts["recovered"] for counts in taken_back) >= ends["recovered"]  # some turned out void


def stays_are_counted(rows: Rows) -> None:
    abandoned = sum(counts["abandoned"] for counts in rows.funnel.values())
    recovered = sum(counts["recovered"] for counts in rows.funnel.values())
    left = sum(visit["left_by"] == "abandoned" for visit in rows.visits)
    assert left + recovered <= abandoned  # the rest fired, and then evidence led back
