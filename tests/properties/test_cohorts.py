"""Cohorts, and the minutes of scopes made of them, equal what transitions and objects say, however the stream
is cut, sharded, stopped and thrown back.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable
from dataclasses import replace
from itertools import combinations
from typing import Any

from hypothesis import given

from pipeline.core.count.cohorts import NOW, Cohorts, Moves
from pipeline.core.count.tallies import Increments
from pipeline.core.detect.gather import ENDED, Gather, Settled
from pipeline.core.detect.minutes import HORIZONS_MINUTES, Minute
from pipeline.core.track.objects.objects import Spoken
from pipeline.core.track.track import ALL_TIME, Emitted
from schemas.journeys import Journey
from tests.harness import Core, drive, rows_of
from tests.oracle_walk import Row
from tests.properties import kinds
from tests.properties.ways import World, cut_worlds, tangles

Told = Counter[tuple[Any, ...]]
"""(what, minute, journey, version, rank, site, device, channel, country, horizon) -> how many."""

SEGMENT = ("device", "channel", "country")


SEGMENTS_MAX = 3
PAIRS_MAX = 2
PAIRS_ALL_MAX = 5


class Heard:
    """What the shards told, and the minutes made of it, as a step after them would keep them."""

    def __init__(self) -> None:
        self.rows: list[list[Any]] = []
        self.minutes: list[list[Any]] = []
        self.left_out = 0

    def dump(self) -> dict[str, Any]:
        return {
            "rows": [*map(list, self.rows)],
            "minutes": [*map(list, self.minutes)],
            "left_out": self.left_out,
        }

    def load(self, dumped: dict[str, Any]) -> None:
        self.rows, self.minutes = [*map(list, dumped["rows"])], [*map(list, dumped["minutes"])]
        self.left_out = dumped["left_out"]


class CohortCore(Core):
    """The core, with cohorts beside the minutes."""

    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        self.moves = Moves(self.journeys, [True] * len(self.journeys))
        self.cohorts = [Cohorts() for _ in range(self.way.shards)]
        self.gather = Gather(self.journeys, self.way.shards, SEGMENTS_MAX, PAIRS_MAX, PAIRS_ALL_MAX)
        self.heard = Heard()

    def write(self, shard: int, told: Iterable[Emitted | Spoken], watermark: int) -> None:
        cohorts, kept, increments = self.cohorts[shard], [*told], []

        def counted() -> Iterable[Emitted | Spoken]:
            for one in kept:
                if isinstance(one, Emitted) and len(one.transitions):
                    increments.append(_own(self.moves.count(one)))
                if isinstance(one, Spoken):
                    moved = self.moves.of_objects(one, self.tracks[shard].state.words.known)
                    increments.extend([_own(moved)] if moved else [])
                yield one

        super().write(shard, counted(), watermark)
        known = cohorts.tallies.words.known
        settled = cohorts.apply(increments, watermark)
        passed = ENDED if watermark >= ALL_TIME else watermark // 60_000 - 1
        for minute_ in self.gather.apply([Settled(shard, settled, known, passed)]):
            self.heard.minutes.append(plain(minute_))
        self.heard.left_out = self.gather.left_out
        for row in settled:
            journey = self.journeys[row["journey"]]
            names = [known[row[name]] for name in ("site", *SEGMENT)]
            self.heard.rows.append(
                [
                    int(row["minute"]), journey.name, journey.version, int(row["rank"]), *names,
                    *(int(row[name]) for name in ("horizon", "entered", "went_on", "skipped", "value_e4")),
                ]
            )  # fmt: skip

    def adopt(self, fresh: Core) -> None:
        super().adopt(fresh)
        assert isinstance(fresh, CohortCore)
        self.cohorts, self.gather, self.heard = fresh.cohorts, fresh.gather, fresh.heard

    def steps(self) -> list[Any]:
        return [*super().steps(), *self.cohorts, self.gather, self.heard]


def plain(minute_: Minute) -> list[Any]:
    """The minute and its scopes, by name."""
    columns = (minute_.entered, minute_.settled, minute_.went_on, minute_.skipped, minute_.value_e4)
    rows = [
        [list(scope[:4]), [list(one) for one in scope.segment], *(column[k].tolist() for column in columns)]
        for k, scope in enumerate(minute_.scopes)
    ]
    return [minute_.at, sorted(rows)]


def _own(part: Increments) -> Increments:
    return Increments(part.rows.copy(), part.known)


def told_by(core: CohortCore) -> Told:
    """What was told, over all shards."""
    found: Told = Counter()
    for *key, horizon, entered, went_on, skipped, value_e4 in core.heard.rows:
        place = (*key, horizon)
        found["entered", *place] += entered
        found["went_on", *place] += went_on
        found["skipped", *place] += skipped
        found["value", *place] += value_e4
    return +found


def expected(transitions: Iterable[Row], journeys: Iterable[Journey]) -> Told:
    """The same, transition by transition."""
    stages = {(one.name, one.version): one.stages for one in journeys}
    wanted: Told = Counter()
    for row in transitions:
        journey = (row["journey"], row["journey_version"])
        at = minute(row["at"])

        def key(rank: int, prefix: str = "", row: Row = row, journey: Any = journey) -> tuple[Any, ...]:
            return *journey, rank, row["site"], *(row[prefix + name] for name in SEGMENT)

        for horizon, after in [(NOW, 0), *enumerate(HORIZONS_MINUTES)]:
            wanted["entered", at + after, *key(row["to_rank"]), horizon] += 1
        wanted["value", at, *key(row["to_rank"]), NOW] += row["value_e4"]
        named = {stage.name: stage for stage in stages[journey]}
        passed = [named[name] for name in row["skipped"].split(">") if name]
        if row["kind"] == "enter":
            passed = [one for one in stages[journey] if one.rank < row["to_rank"] and not one.optional]
        for stage in passed:
            wanted["skipped", at, *key(stage.rank), NOW] += 1
        if row["from_rank"] and row["kind"] != "regress":
            entered_at = minute(row["from_entered_at"])
            for horizon, after in enumerate(HORIZONS_MINUTES):
                if at - entered_at <= after:
                    wanted["went_on", entered_at + after, *key(row["from_rank"], "from_"), horizon] += 1
    return +wanted


def minute(ms: int) -> int:
    return ms // 60_000


class Taken:
    """Which segments and pairs of a step there are, in the order of time; how much was left out."""

    def __init__(self) -> None:
        self.known: set[tuple[Any, ...]] = set()
        self.left_out = 0

    def of(self, step: Any, parts: int) -> int:
        return sum(one == step and len(segment) == parts for one, segment in self.known)

    def varies(self, step: Any, part: tuple[str, str]) -> bool:
        """Whether this value is known, and another one of its dimension."""
        values = {s[0][1] for one, s in self.known if one == step and len(s) == 1 and s[0][0] == part[0]}
        return part[1] in values and len(values) > 1

    def minute(self, sums: dict[Any, Counter[Any]]) -> None:
        for step, segment in sorted(sums):
            if len(segment) == 1 and (step, segment) not in self.known:
                self.take(step, segment, self.of(step, 1) < SEGMENTS_MAX)
        for step, segment in sorted(sums, key=lambda key: (-sums[key]["entered", NOW], key)):
            fresh = len(segment) == 2 and (step, segment) not in self.known
            if fresh and all(self.varies(step, part) for part in segment):
                every = sum(len(segment) == 2 for _, segment in self.known)
                self.take(step, segment, self.of(step, 2) < PAIRS_MAX and every < PAIRS_ALL_MAX)

    def take(self, step: Any, segment: Any, has_room: bool) -> None:
        if has_room:
            self.known.add((step, segment))
        else:
            self.left_out += 1


def scopes(told: Told, journeys: Iterable[Journey]) -> tuple[list[list[Any]], list[int]]:
    """The minutes of the same, cohort by cohort, and how much had been left out until each."""
    names = {
        (one.name, one.version, stage.rank): (stage.rank, stage.name)
        for one in journeys
        for stage in one.stages
    }
    names |= kinds.names([*journeys])
    sums: dict[int, dict[Any, Counter[Any]]] = defaultdict(lambda: defaultdict(Counter))
    for (what, at, *key, site, device, channel, country, horizon), count in told.items():
        named = {"channel": channel, "country": country, "device": device, "site": site}
        step = (*key[:2], *names[tuple(key)])
        values = [(name, word) for name, word in named.items() if word]
        for segment in [(), *((one,) for one in values), *combinations(values, 2)]:
            sums[at][step, segment][what, horizon] += count
    taken = Taken()
    minutes, left_out = [], []
    for at in range(min(sums, default=0), max(sums, default=-1) + 1):
        taken.minute(sums[at])
        left_out.append(taken.left_out)
        rows = []
        for (step, segment), own in sums[at].items():
            if segment and (step, segment) not in taken.known:
                continue
            horizons = range(len(HORIZONS_MINUTES))
            columns = [
                own["entered", NOW],
                [own["entered", h] for h in horizons],
                [own["went_on", h] for h in horizons],
                own["skipped", NOW],
                own["value", NOW],
            ]
            rows.append([list(step), [list(one) for one in segment], *columns])
        minutes.append([at, sorted(rows)])
    return minutes, left_out


@given(cut_worlds())
def test_cohorts_say_what_transitions_and_objects_say(world: World) -> None:
    check(world)


@given(tangles())
def test_so_they_do_of_long_sessions_with_ways_back(world: World) -> None:
    check(world)


def check(world: World) -> None:
    settings, journeys, partitions, way = world
    core = drive(partitions, journeys, replace(settings, end="replay"), way, CohortCore)
    assert isinstance(core, CohortCore)
    wanted = expected(rows_of(core).transitions, journeys)
    wanted += kinds.expected(partitions, journeys, replace(settings, end="replay"), way)
    assert told_by(core) == wanted
    told, left_out = scopes(wanted, journeys)
    heard = core.heard.minutes  # up to the minute in which somebody came last, or as far as time came before
    assert heard[: len(told)] == told[: len(heard)]
    assert core.heard.left_out == [0, *left_out][min(len(heard), len(told))]
    come = [at for what, at, *_, horizon in wanted if what in ("entered", "skipped") and horizon == NOW]
    assert not come or heard[-1][0] >= max(come)
    after = heard[len(told) :]  # time may pass beyond the last cohort: minutes of nothing
    begin = told[-1][0] + 1 if told else 0
    assert after == [[at, []] for at in range(begin, begin + len(after))]
