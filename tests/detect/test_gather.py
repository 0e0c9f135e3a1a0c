"""Which segments and pairs a step has, and their counts: whatever the shards, the cuts and the restarts."""

from __future__ import annotations

import pickle
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from itertools import combinations
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.core.count.cohorts import COHORT, NOW
from pipeline.core.detect import Minute, Scope
from pipeline.core.detect.gather import ENDED, SEGMENTS_MAX, Gather, Settled
from pipeline.core.detect.sums import DAY, DIMENSIONS, PAIRS_FROM, halves, summed
from pipeline.core.snapshot import pack, unpack
from pipeline.core.words import Words
from schemas.journeys import Journey, Stage

BEGIN = 1_000_000
SHARDS = 3
JOURNEYS = tuple(
    Journey(
        name, 1, "visitor", tuple(Stage(f"s{k}", k, False, (), None) for k in range(1, ranks + 1)), ranks, ()
    )
    for name, ranks in (("buy", 2), ("ask", 1))
)


@dataclass(frozen=True)
class Cohort:
    """What one shard counted of one cell, once it was settled for one horizon."""

    at: int
    values: tuple[str, str, str, str]  # in the order of DIMENSIONS
    entered: int = 1
    shard: int = 0
    journey: int = 0
    rank: int = 1
    horizon: int = NOW

    def scopes(self) -> list[Scope]:
        parts = [(name, value) for name, value in zip(DIMENSIONS, self.values, strict=True) if value]
        step = Scope(JOURNEYS[self.journey].name, 1, self.rank, f"s{self.rank}")
        named = [(), *((part,) for part in parts), *combinations(parts, 2)]
        return [step._replace(segment=segment) for segment in named]


def told(shard: int, cohorts: Iterable[Cohort], passed: int, words: Words | None = None) -> Settled:
    """As a shard tells it, whose words have codes of their own."""
    mine = [one for one in cohorts if one.shard == shard]
    words = words or Words(["", *(f"of shard {shard}, {n}" for n in range(shard))])
    rows = np.zeros(len(mine), COHORT)
    for row, one in zip(rows, mine, strict=True):
        row["minute"], row["entered"], row["went_on"] = one.at, one.entered, one.entered // 2
        row["journey"], row["rank"], row["horizon"] = one.journey, one.rank, one.horizon
        if one.horizon == NOW:
            row["skipped"], row["value_e4"] = 3 * one.entered, 10**14 * one.entered
        for name, code in zip(DIMENSIONS, words.codes(one.values), strict=True):
            row[name] = code
    return Settled(shard, rows, words.known, passed)


def gathered(gather: Gather, cohorts: Sequence[Cohort]) -> list[Minute]:
    """All at once, and its end."""
    return gather.apply([told(shard, cohorts, ENDED) for shard in range(SHARDS)])


def segments(minutes: Iterable[Minute], size: int, rank: int = 1) -> set[Any]:
    found = {scope for minute in minutes for scope in minute.scopes}
    return {scope.segment for scope in found if len(scope.segment) == size and scope.rank == rank}


def plain(minute: Minute) -> list[Any]:
    columns = (minute.entered, minute.settled, minute.went_on, minute.skipped, minute.value_e4)
    rows = [(scope, *(column[k].tolist() for column in columns)) for k, scope in enumerate(minute.scopes)]
    return [minute.at, sorted(rows)]


def pair(**parts: str) -> tuple[tuple[str, str], ...]:
    return tuple(sorted(parts.items()))


MOBILE_DE = Cohort(BEGIN, ("", "DE", "mobile", ""))
DESKTOP_NL = Cohort(BEGIN, ("", "NL", "desktop", ""))


def test_pairs_are_summed_like_their_halves() -> None:
    cohorts = [
        MOBILE_DE, DESKTOP_NL, Cohort(BEGIN, ("", "DE", "mobile", ""), 4, shard=1),
        Cohort(BEGIN, ("", "DE", "desktop", ""), 8), Cohort(BEGIN, ("", "DE", "mobile", ""), 16, horizon=2),
    ]  # fmt: skip
    (minute,) = gathered(Gather(JOURNEYS, SHARDS), cohorts)
    found = {scope.segment: k for k, scope in enumerate(minute.scopes)}
    one = found[pair(country="DE", device="mobile")]
    assert minute.entered[one] == 1 + 4
    assert minute.settled[one].tolist() == [0, 0, 16, 0, 0, 0, 0]
    assert minute.went_on[one].tolist() == [0, 0, 8, 0, 0, 0, 0]
    assert minute.skipped[one] == 3 * 5
    assert minute.value_e4[one] == 5 * 10**14
    assert minute.entered[found[pair(country="DE")]] == 1 + 4 + 8
    assert set(found) == {
        (), pair(country="DE"), pair(country="NL"), pair(device="mobile"), pair(device="desktop"),
        pair(country="DE", device="mobile"), pair(country="DE", device="desktop"),
        pair(country="NL", device="desktop"),
    }  # fmt: skip


def test_a_pair_with_the_only_value_of_a_dimension_is_not_kept_until_there_is_another() -> None:
    first = [Cohort(BEGIN, ("", "DE", device, "shop")) for device in ("mobile", "desktop")]
    gather = Gather(JOURNEYS, 1)
    minutes = gather.apply([told(0, first, BEGIN)])
    assert segments(minutes, 2) == set()
    then = [Cohort(BEGIN + 1, ("", "DE", "mobile", "shop")), Cohort(BEGIN + 2, ("", "NL", "mobile", "shop"))]
    minutes = gather.apply([told(0, then, BEGIN + 2)])
    assert [segments([minute], 2) for minute in minutes] == [set(), {pair(country="NL", device="mobile")}]
    assert gather.left_out == 0


def test_sites_are_paired_where_there_is_more_than_one() -> None:
    cohorts = [Cohort(BEGIN, ("", "", device, site)) for device in ("mobile", "desktop") for site in "ab"]
    assert len(segments(gathered(Gather(JOURNEYS, SHARDS), cohorts), 2)) == 4


def test_segments_never_lose_their_place_to_pairs() -> None:
    grid = [Cohort(BEGIN, ("", f"c{n:02}", f"d{n % 7}", "")) for n in range(60)]
    later = [Cohort(BEGIN + 1, (f"x{n}", "c00", "d0", "")) for n in range(20)]
    alone, both = Gather(JOURNEYS, SHARDS, 80, 0, 0), Gather(JOURNEYS, SHARDS, 80, 50)
    without, with_pairs = gathered(alone, [*grid, *later]), gathered(both, [*grid, *later])
    assert segments(without, 1) == segments(with_pairs, 1)
    assert len(segments(with_pairs, 1)) == 80
    assert len(segments(with_pairs, 2)) == 50
    assert segments(without, 2) == set()


def test_the_larger_pairs_of_a_minute_come_first_then_those_first_by_name() -> None:
    sizes = {("DE", "mobile"): 1, ("DE", "desktop"): 1, ("NL", "mobile"): 9, ("NL", "desktop"): 1}
    cohorts = [Cohort(BEGIN, ("", country, device, ""), many) for (country, device), many in sizes.items()]
    gather = Gather(JOURNEYS, SHARDS, pairs_max=2)
    assert segments(gathered(gather, cohorts), 2) == {
        pair(country="NL", device="mobile"), pair(country="DE", device="desktop")
    }  # fmt: skip
    assert gather.left_out == 2


def test_what_is_left_out_is_counted_of_segments_and_of_pairs() -> None:
    cohorts = [Cohort(BEGIN, ("", f"c{n}", f"d{n}", "")) for n in range(4)]
    gather = Gather(JOURNEYS, SHARDS, segments_max=6, pairs_max=1)
    minutes = gathered(gather, cohorts)
    assert len(segments(minutes, 1)) == 6  # c0 to c3, d0, d1
    assert segments(minutes, 2) == {pair(country="c0", device="d0")}
    assert gather.left_out == 2 + 1  # pairs of a segment that is left out are not counted again


def test_all_steps_together_have_a_limit_of_pairs() -> None:
    cohorts = [
        Cohort(BEGIN, ("", f"c{n}", f"d{n}", ""), rank=rank, journey=journey)
        for n in range(3)
        for journey, rank in ((0, 1), (0, 2), (1, 1))
    ]
    gather = Gather(JOURNEYS, SHARDS, pairs_max=3, pairs_all_max=5)
    (minute,) = gathered(gather, cohorts)
    assert sum(len(scope.segment) == 2 for scope in minute.scopes) == 5
    assert gather.left_out == 4


def test_a_process_takes_along_only_the_words_of_its_rows() -> None:
    words = Words(["", *(f"other {n}" for n in range(100))])
    (sent,) = [pickle.loads(pickle.dumps(told(0, [MOBILE_DE, DESKTOP_NL], ENDED, words)))]
    assert len(sent.known) == 5
    assert segments(Gather(JOURNEYS, 1).apply([sent]), 2) == {
        pair(country="DE", device="mobile"), pair(country="NL", device="desktop")
    }  # fmt: skip


def test_keys_hold_the_largest_of_everything() -> None:
    rows = np.zeros(2, COHORT)
    rows["journey"], rows["rank"], rows["entered"] = 255, 31, 1
    rows["minute"] = [BEGIN, BEGIN + DAY - 1]
    for n, name in enumerate(DIMENSIONS):
        rows[name] = [2**24 + n, 7]
    every = range(1 + len(DIMENSIONS) + 6)
    minutes, keys, sums = summed(rows, BEGIN, every)
    assert minutes.tolist() == [BEGIN] * len(every) + [BEGIN + DAY - 1] * len(every)
    assert {*map(tuple, keys[:, :2].tolist())} == {(255, 31)}
    assert keys[len(every) - 1].tolist() == [255, 31, every[-1], 2**24 + 2, 2**24 + 3]
    assert keys[-1].tolist() == [255, 31, every[-1], 7, 7]
    assert (sums[:, 0] == 1).all()
    assert halves((0, 1, every[-1], 5, 6)) == ((0, 1, 3, 5, 0), (0, 1, 4, 6, 0))


def test_more_values_than_a_key_can_hold_are_no_wrong_sums() -> None:
    many = 70_000
    rows = np.zeros(many, COHORT)
    rows["channel"], rows["country"] = np.arange(1, many + 1), np.arange(1, many + 1)
    with pytest.raises(AssertionError, match="values"):
        summed(rows, 0, [PAIRS_FROM])


def test_the_usual_limits_leave_room_in_the_detector() -> None:
    assert SEGMENTS_MAX == 500
    cohorts = [Cohort(BEGIN, ("", f"c{n:03}", f"d{n % 9}", "")) for n in range(300)]
    minutes = gathered(Gather(JOURNEYS, SHARDS), cohorts)
    assert (len(segments(minutes, 1)), len(segments(minutes, 2))) == (309, 200)


VALUES = st.tuples(
    *(st.sampled_from(names) for names in (("", "email", "ads"), ("DE", "NL", "PL"), ("m", "d", ""), "aab"))
)
LAST = Cohort(BEGIN + 7, ("", "", "", ""))
"""Who comes last: what is behind them is not told."""
COHORTS = st.lists(
    st.builds(
        Cohort,
        at=st.integers(BEGIN, BEGIN + 6),
        values=VALUES,
        entered=st.integers(1, 3),
        shard=st.integers(0, SHARDS - 1),
        rank=st.sampled_from([1, 1, 2]),
        horizon=st.sampled_from([NOW, NOW, 0]),
    ),
    max_size=40,
).map(lambda cohorts: [*cohorts, LAST])
LIMITS = st.tuples(st.integers(0, 6), st.integers(0, 4), st.sampled_from([0, 3, 99]))


@given(COHORTS, LIMITS, st.sets(st.integers(0, 30)), st.integers(0, 2**32 - 1))
def test_shards_cuts_and_restarts_make_no_difference(
    cohorts: list[Cohort], limits: tuple[int, int, int], restarts: set[int], seed: int
) -> None:
    at_once = Gather(JOURNEYS, SHARDS, *limits)
    expected = [plain(minute) for minute in gathered(at_once, cohorts)]
    draw = np.random.default_rng(seed)
    gather, found, words = Gather(JOURNEYS, SHARDS, *limits), [], [Words() for _ in range(SHARDS)]
    passed = np.full(SHARDS, BEGIN - 1)
    shards = draw.integers(0, SHARDS, 30).tolist()
    moved = draw.permutation(len(cohorts)).tolist()
    again = [replace(cohorts[i], shard=int(draw.integers(SHARDS))) for i in moved]
    for turn, shard in enumerate([*shards, *range(SHARDS)]):
        if turn in restarts:
            dumped = pack("gather", gather.dump())
            gather = Gather(JOURNEYS, SHARDS, *limits)
            gather.load(unpack("gather", dumped))
            assert pack("gather", gather.dump()) == dumped
        until = ENDED if turn >= len(shards) else int(passed[shard] + draw.integers(0, 3))
        mine = [one for one in again if one.shard == shard and passed[shard] < one.at <= until]
        found += [plain(minute) for minute in gather.apply([told(shard, mine, until, words[shard])])]
        passed[shard] = until
    assert [one for one in found if one[1]] == [one for one in expected if one[1]]
    assert gather.left_out == at_once.left_out


@given(COHORTS, LIMITS)
def test_scopes_are_those_that_the_rule_says(cohorts: list[Cohort], limits: tuple[int, int, int]) -> None:
    gather = Gather(JOURNEYS, SHARDS, *limits)
    found = [[one.at, sorted(one.scopes)] for one in gathered(gather, cohorts) if one.scopes]
    assert (found, gather.left_out) == oracle(cohorts, limits)


def oracle(cohorts: Sequence[Cohort], limits: tuple[int, int, int]) -> tuple[list[list[Any]], int]:
    """The scopes of each minute in which there are any, and how much is left out, slowly."""
    known: set[Scope] = set()
    minutes, left_out = [], 0
    for at in sorted({one.at for one in cohorts}):
        entered: Counter[Scope] = Counter()
        for one in cohorts:
            for scope in one.scopes() if one.at == at else ():
                entered[scope] += one.entered if one.horizon == NOW else 0
        singles = sorted(scope for scope in {*entered} - known if len(scope.segment) == 1)
        for scope in singles:
            has_room = sum(len(one.segment) == 1 for one in known if one.whole == scope.whole) < limits[0]
            known |= {scope} if has_room else set()
            left_out += not has_room
        pairs = [scope for scope in entered if len(scope.segment) == 2 and scope not in known]
        for scope in sorted(pairs, key=lambda scope: (-entered[scope], scope)):
            if not all(_is_one_of_several(scope, half, known) for half in scope.segment):
                continue
            others = [one.whole == scope.whole for one in known if len(one.segment) == 2]
            has_room = sum(others) < limits[1] and len(others) < limits[2]
            known |= {scope} if has_room else set()
            left_out += not has_room
        minutes.append([at, sorted(one for one in entered if not one.segment or one in known)])
    return minutes, left_out


def _is_one_of_several(scope: Scope, half: tuple[str, str], known: set[Scope]) -> bool:
    singles = {one.segment[0] for one in known if one.whole == scope.whole and len(one.segment) == 1}
    return half in singles and sum(name == half[0] for name, _ in singles) > 1
