"""The short version of `python -m tests.chaos`: every victim once and one of them twice, by a fixed seed."""

from __future__ import annotations

from collections import Counter
from itertools import pairwise
from pathlib import Path

import pytest

from tests.chaos.killer import VICTIMS, plan
from tests.chaos.run import Deployment, Operator, Surprise
from tests.chaos.stream import POISON, stream
from tests.chaos.trial import Asked, balanced, trial
from tests.kafka.broker import Broker
from tests.kafka.docker import DockerBroker

KILLS, SEED = 5, 1
SHORT = Asked(KILLS, SEED, records_per_kill=150)


def test_whatever_dies_the_tables_are_those_of_a_run_in_which_nothing_died(
    killable: Broker | DockerBroker, tmp_path: Path
) -> None:
    outcome = trial(killable, tmp_path, SHORT)
    assert outcome.victims.total() == KILLS
    assert set(outcome.victims) == set(VICTIMS)
    assert outcome.restarts + outcome.starts > KILLS - outcome.victims["broker"]  # they did begin again
    assert all(
        outcome.views[view] for view in ("sessions", "abandonments", "orders", "late_events", "events")
    )
    assert all(outcome.tables.values())


def test_a_seed_draws_the_same_records_and_the_same_kills() -> None:
    assert stream(3, 500) == stream(3, 500)
    assert stream(3, 500).values() != stream(4, 500).values()
    assert plan(3, 40, 10_000) == plan(3, 40, 10_000)
    assert plan(3, 40, 10_000) != plan(4, 40, 10_000)


def test_kills_are_shared_out_and_meet_starts_and_recoveries() -> None:
    kills = plan(1, 100, 30_000)
    assert Counter(kill.victim for kill in kills) == dict.fromkeys(VICTIMS, 25)
    soon = [kill.number for kill in kills if kill.at_records is None]
    assert 10 < len(soon) < 40
    assert not any(after - before == 1 for before, after in pairwise(soon))
    assert kills[0].victim == "cluster"
    assert kills[0].at_records == 0


def test_the_stream_has_everything_that_may_happen_to_records() -> None:
    sent = stream(1, 8_000)
    assert 7_000 < len(sent.sent) < 9_000
    assert {f"poison: {name}" for name in (*POISON, "too large")} <= set(sent.kinds)
    assert {"plain", "delayed", "sent again", "unstamped", "silly value"} <= set(sent.kinds)
    assert all(len(own) > 1_000 for own in sent.values())
    arrivals = [one.arrival_ms for one in sent.sent]
    assert arrivals == sorted(arrivals)


def test_a_minute_that_does_not_balance_and_a_record_too_few_are_seen() -> None:
    row = '{"partition": 0, "received": 2, "balance": %d}'
    balanced({"conservation": [row % 0]}, [2])
    with pytest.raises(AssertionError):
        balanced({"conservation": [row % 1]}, [2])
    with pytest.raises(AssertionError):
        balanced({"conservation": [row % 0]}, [3])


def test_an_end_that_no_kill_explains_is_told(tmp_path: Path) -> None:
    place = Deployment(tmp_path, (), ("--input", str(tmp_path / "nothing.jsonl")))
    operator = Operator(place, lambda: True)
    operator.start()
    with pytest.raises(Surprise, match="exit code 2 by itself"):
        operator.until(lambda: False, "anything")
