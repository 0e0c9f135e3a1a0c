"""W1 is what it says it is, and its answer is right."""

from __future__ import annotations

import json
import subprocess
import sys
from collections import Counter, defaultdict
from datetime import datetime
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from tests import w1

SHARED = Path(__file__).parents[2] / "shared" / "w1"
SESSIONS = 2000
GAP_MS = 30 * 60_000


@pytest.fixture(scope="module")
def stream(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("w1") / "w1.jsonl"
    w1.write([path], SESSIONS, seed=7)
    return path


@pytest.fixture(scope="module")
def clicks(stream: Path) -> list[dict[str, Any]]:
    clicks = [json.loads(line) for line in stream.read_text().splitlines()]
    for click in clicks:
        click["at"] = round(datetime.fromisoformat(click["ts"]).timestamp() * 1000)
    return clicks


@pytest.fixture(scope="module")
def answer(stream: Path) -> w1.Answer:
    return w1.answer([stream])


def by_visitor(clicks: list[dict[str, Any]]) -> dict[str, list[dict[str, Any]]]:
    visitors: dict[str, list[dict[str, Any]]] = defaultdict(list)
    for click in clicks:
        visitors[click["visitor_id"]].append(click)
    for own in visitors.values():
        own.sort(key=lambda click: (click["at"], w1.STAGES[click["event"]]))
    return visitors


def test_the_known_numbers_for_seed_7(answer: w1.Answer) -> None:
    assert (answer.events, answer.sessions, answer.transitions) == (7642, 1590, 2876)
    assert answer.sessions_by_stage == {1: 613, 2: 631, 3: 227, 4: 68, 5: 51}
    assert (len(answer.aggregate), answer.aggregate_hash) == (1373, 2915413229283681645)


def test_event_ids_are_unique_and_a_visitor_has_one_device(clicks: list[dict[str, Any]]) -> None:
    assert len({click["event_id"] for click in clicks}) == len(clicks)
    for own in by_visitor(clicks).values():
        assert len({(click["device"], click["source"], click["user_id"]) for click in own}) == 1


def test_nothing_is_late_with_a_lateness_of_ten_seconds(clicks: list[dict[str, Any]]) -> None:
    newest = 0
    disorder = 0
    for click in clicks:
        disorder = max(disorder, newest - click["at"])
        newest = max(newest, click["at"])
    assert 1000 < disorder <= w1.DISORDER_MAX_MS


def test_no_gap_is_exactly_thirty_minutes(clicks: list[dict[str, Any]]) -> None:
    for own in by_visitor(clicks).values():
        assert GAP_MS not in {later["at"] - earlier["at"] for earlier, later in pairwise(own)}


def test_the_batch_query_agrees_with_a_plain_loop(clicks: list[dict[str, Any]], answer: w1.Answer) -> None:
    matrix: Counter[tuple[int, int]] = Counter()
    aggregate: Counter[tuple[int, str, int]] = Counter()
    furthest_of: list[int] = []
    for own in by_visitor(clicks).values():
        previous, furthest = -GAP_MS, 0
        for click in own:
            if click["at"] - previous > GAP_MS:
                furthest_of.append(0)
                furthest = 0
            previous = click["at"]
            stage = w1.STAGES[click["event"]]
            if stage > furthest:
                matrix[furthest, stage] += 1
                aggregate[click["at"] // 60_000, click["device"], stage] += 1
                furthest = furthest_of[-1] = stage
    assert Counter(answer.matrix) == matrix
    assert Counter(answer.sessions_by_stage) == Counter(furthest_of)
    assert {(minute, device, stage): n for minute, device, stage, n in answer.aggregate} == aggregate


def test_split_over_files_it_is_the_same_work(tmp_path: Path, stream: Path, answer: w1.Answer) -> None:
    parts = [tmp_path / f"part-{number}.jsonl" for number in range(3)]
    w1.write(parts, SESSIONS, seed=7)
    lines = [part.read_text().splitlines() for part in parts]
    whole = stream.read_text().splitlines()
    place = {line: index for index, line in enumerate(whole)}
    assert sorted(line for part in lines for line in part) == sorted(whole)
    assert all([place[line] for line in part] == sorted(place[line] for line in part) for part in lines)
    visitors = [{json.loads(line)["visitor_id"] for line in part} for part in lines]
    assert not visitors[0] & visitors[1] | visitors[1] & visitors[2] | visitors[0] & visitors[2]
    assert min(map(len, lines)) > len(whole) // 5
    assert w1.answer(parts) == answer


def test_another_seed_is_another_stream(tmp_path: Path, stream: Path) -> None:
    other = tmp_path / "other.jsonl"
    w1.write([other], SESSIONS, seed=8)
    assert other.read_bytes() != stream.read_bytes()


@pytest.mark.skipif(not SHARED.exists(), reason="../shared/w1, the specification, is not here")
def test_the_bytes_are_those_of_the_specification(tmp_path: Path, stream: Path) -> None:
    theirs = tmp_path / "theirs.jsonl"
    command = [sys.executable, str(SHARED / "gen.py"), str(SESSIONS), str(theirs), "7"]
    subprocess.run(command, check=True, capture_output=True)
    assert theirs.read_bytes() == stream.read_bytes()
