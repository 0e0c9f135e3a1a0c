"""`--store-events`: the accepted events, each once, whatever happens; and nothing else changes."""

from __future__ import annotations

import json
import os
import signal
from pathlib import Path

import pytest

from tests.e2e.conftest import Stream
from tests.e2e.runs import LONG, Place, Rows, ask, same

STORE = "--store-events"

MAPPING = """
mapping: ours
fields:
  event_id: id
  event_at: ts
  event: event
  visitor_id: who
  site: site
  source: utm
  cart_id: cart
  order_id: order
  products: items
  quantity: pieces
  value: value
  currency: currency
properties: more
filters:
  - name: heartbeats
    when: {event: heartbeat}
  - name: tests
    when: {properties.test: true}
  - name: test_carts
    when: {cart_id: test}
"""


def record(minute: int, event: str, id_: str, **more: object) -> dict[str, object]:
    return {"ts": f"2026-01-05T10:{minute:02}:00Z", "who": "anna", "site": "shop"} | {
        "event": event, "id": id_, **more,
    }  # fmt: skip


RECORDS: list[dict[str, object] | str] = [
    record(1, "page_view", "1", utm="newsletter", more={"colour": "red"}),  # 1
    record(2, "add_to_cart", "2", items=["p1", {"id": "p2"}], pieces="two"),  # 2: odd, but nobody needs it
    record(2, "add_to_cart", "2"),  # 3: duplicate
    "no record at all",  # 4: rejected
    record(3, "heartbeat", "3"),  # 5: filtered
    record(0, "page_view", "4"),  # 6: late
    record(4, "purchase", "5", order="o1", items="p1", value=19.99, currency="eur"),  # 7
    record(5, "page_view", "6") | {"who": "bert"},  # 8
    record(5, "page_view", "7", more={"test": True}),  # 9: filtered by what no journey asks for
    record(5, "page_view", "8", cart="test"),  # 10: filtered, too
    record(5, "page_view", "9", cart={"odd": 1}),  # 11: rejected, for a filter needs it
]
ACCEPTED = [1, 2, 7, 8]


@pytest.fixture
def place(tmp_path: Path) -> Place:
    lines = [entry if isinstance(entry, str) else json.dumps(entry) for entry in RECORDS]
    file = tmp_path / "events.jsonl"
    file.write_text("\n".join(lines) + "\n")
    (tmp_path / "ours.yaml").write_text(MAPPING)
    return Place(tmp_path, (file,), ("--mapping", "./ours.yaml"))


def test_exactly_the_accepted_events_are_stored(place: Place) -> None:
    for _ in range(2):  # once more changes nothing
        place.run(STORE).clean()
    found = ask(
        place.dsn,
        {
            "events": "SELECT * FROM bi.events ORDER BY position",
            "counts": "SELECT sum(received), sum(accepted), sum(duplicate), sum(late), sum(rejected), "
            "sum(filtered) FROM bi.conservation",
        },
    )
    events = found["events"]
    assert [row["position"] for row in events] == ACCEPTED
    assert list(found["counts"][0].values()) == [len(RECORDS), len(ACCEPTED), 1, 1, 2, 3]
    first, second, order, other = events
    assert (first["source"], first["channel"], first["properties"]) == (
        "newsletter",
        "email",
        '{"colour":"red"}',
    )
    assert (second["products"], second["quantity"]) == (["p1", "p2"], 0)
    assert (order["order_id"], order["products"], order["currency"]) == ("o1", ["p1"], "EUR")
    assert (order["value"], order["visitor_id"], order["event"]) == ("19.9900", "anna", "purchase")
    assert (other["visitor_id"], other["input"], other["partition"]) == ("bert", "events.jsonl", 0)


def test_without_it_the_table_is_empty_and_all_else_the_same(place: Place) -> None:
    place.run().clean()
    without = place.rows()
    assert without["events"] == []
    storing = Place(place.folder / "storing", place.files, ("--mapping", "../ours.yaml", STORE))
    storing.folder.mkdir()
    storing.run().clean()
    stored = storing.rows()
    assert len(stored["events"]) == len(ACCEPTED)
    same({**stored, "events": []}, without)


WAYS = [(1, "chdb"), (2, "parquet"), *([(1, "parquet"), (2, "chdb")] if LONG else [])]


@pytest.mark.parametrize(("workers", "sink"), WAYS)
def test_killed_and_gone_on_with_the_events_are_the_same(
    stream: Stream, tmp_path: Path, workers: int, sink: str
) -> None:
    files = stream(1_500, 11, 3)
    whole = sum(len(file.read_bytes().splitlines()) for file in files)
    alone = Place(tmp_path / "alone", files, (STORE,), sink)
    alone.folder.mkdir()
    alone.run().clean()
    expected = alone.rows()
    assert len(expected["events"]) == whole, "W1 has nothing that is not accepted"

    small = {"PATHLINE_BATCH_ROWS": "60"}
    killed = Place(
        tmp_path / "killed", files, (STORE, "--epoch", "100ms", "--workers", str(workers)), sink, small
    )
    killed.folder.mkdir()
    for share in (0.3, 0.7):
        kill(killed, int(share * whole))
    killed.run().clean()
    same(killed.rows(), expected)


def kill(place: Place, records: int) -> None:
    with place.in_the_middle(records) as running:
        for pid in [running.popen.pid, *running.workers()]:
            os.kill(pid, signal.SIGKILL)
        assert running.ended().code == -signal.SIGKILL


def test_it_can_be_switched_while_a_state_lives(stream: Stream, tmp_path: Path) -> None:
    """What is accepted does not depend on it: it is no part of what a deployment is."""
    files = stream(1_500, 11, 3)
    small = {"PATHLINE_BATCH_ROWS": "60"}
    place = Place(tmp_path / "switched", files, ("--epoch", "100ms"), "parquet", small)
    never = Place(tmp_path / "never", files, sink="parquet")
    for each in (place, never):
        each.folder.mkdir()
    kill(place, 1_000)
    place.run(STORE).clean()
    never.run().clean()
    rows: Rows = place.rows()
    assert rows["events"]
    same({**rows, "events": []}, never.rows())
