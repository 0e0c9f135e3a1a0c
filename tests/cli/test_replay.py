"""`pathline replay` before it reads anything: what it refuses, how long it waits, what it compares."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from typer.testing import CliRunner

from pipeline.cli.app import app
from pipeline.cli.replay_late import EVENTS_WAITING_MAX, Late
from pipeline.cli.replay_rejects import Range, compare, told_before
from pipeline.settings import BadSettings
from sinks.clickhouse.client import same_place, target

HOUR_MS = 3_600_000
TOPIC = "kafka://localhost:9092/clicks"


def refused(*arguments: str, folder: Path) -> str:
    """What is said; nothing has begun."""
    where = ["--clickhouse", f"chdb://{folder / 'new'}", "--state", str(folder / "state")]
    done = CliRunner().invoke(app, ["replay", *where, *arguments])
    assert isinstance(done.exception, BadSettings), done.exception
    said = str(done.exception)
    assert "\n  hint: " in said
    assert not (folder / "state").exists()
    return said


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ((), "nothing to replay"),
        (("--late",), "need --of"),
        (("--rejects",), "need --of"),
        (("--late", "--of", "chdb://new"), "is the database that is replayed"),
        (("--late", "--of", "chdb://old", "--late-within", "long"), "a duration like 1h"),
        (("--rejects", "--of", "chdb://old", "--late-within", "1h"), "together with --late"),
        (("--rejects", "--of", "chdb://old", "--clickhouse", "null:"), "cannot be asked"),
        (("--from", "2025-01-01"), "only a topic has a range"),
        (("--to", "2025-01-01"), "only a topic has a range"),
        (("--from", "soon"), "--from: 'soon' is no time"),
        (("--from", "2025-01-02", "--to", "2025-01-02"), "is not after --from"),
        (("--input", TOPIC, "--to", "2999-01-01"), "is to come"),
        (("--late", "--of", "chdb://old", "--input", "missing.jsonl"), "no such file"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, tuple) else "",
)
def test_what_makes_no_sense_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, arguments: tuple[str, ...], words: str
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "events.jsonl").touch()
    given = arguments if "--input" in arguments else ("--input", "events.jsonl", *arguments)
    assert words in refused(*given, folder=tmp_path)


def test_a_server_is_one_place_whatever_it_is_called() -> None:
    plain = target("clickhouse://somebody:secret@db")
    assert same_place(plain, target("http://other:hush@db:8123/?compress=false"))
    assert not same_place(plain, target("clickhouse://db:9000"))
    assert not same_place(plain, target("chdb://db"))


def late(behind_seconds: list[int], per_minute: int, minutes: int) -> Late:
    """One late record of each, among so many events a minute."""
    return Late(
        np.array(behind_seconds), np.ones(len(behind_seconds), np.int64),
        60 * np.arange(minutes), np.full(minutes, per_minute),
    )  # fmt: skip


def test_the_allowed_lateness_is_that_of_the_latest() -> None:
    found = late([5, 70, 3_000], 100, 600)
    assert found.lateness_ms(10_000, None, sortable=True) == 3_010_000
    assert found.lateness_ms(10_000, 2_000_000, sortable=True) == 80_000
    assert found.lateness_ms(10_000, 1_000, sortable=True) == 10_000


def test_events_that_wait_are_those_of_the_fullest_stretch() -> None:
    found = Late(np.array([1]), np.array([1]), 60 * np.arange(5), np.array([1, 50, 60, 2, 3]))
    assert found.waiting(0) == 110, "a minute's events may come in the next one"
    assert found.waiting(60_000) == 112
    assert found.waiting(HOUR_MS) == 116


def test_more_than_can_wait_is_refused_with_what_would_fit() -> None:
    a_minute = EVENTS_WAITING_MAX // 100  # so that an hour fits, and two do not
    found = late([60, 3_600, 3_600, 7_200], a_minute, 600)
    with pytest.raises(BadSettings) as error:
        found.lateness_ms(10_000, None, sortable=True)
    said = str(error.value)
    assert "--sort reads files in the order of time" in said
    assert "--late-within 3600s takes in 75% of them" in said
    assert found.lateness_ms(10_000, HOUR_MS, sortable=True) == 3_610_000
    with pytest.raises(BadSettings) as error:
        found.lateness_ms(10_000, None, sortable=False)
    assert "--sort" not in str(error.value)
    with pytest.raises(BadSettings, match="5,000,000 may, for 1d"):
        late([86_400], 1, 10_000).lateness_ms(10_000, None, sortable=False)


def rejected(*rows: tuple[str, int, int, str]) -> pa.Table:
    names = ("source", "partition", "position", "reason")
    return pa.table({name: [row[k] for row in rows] for k, name in enumerate(names)})


def test_every_record_that_was_rejected_is_one_of_four_things_now() -> None:
    before = rejected(
        ("clicks", 0, 1, "no_visitor"), ("clicks", 0, 2, "no_visitor"), ("clicks", 0, 3, "no_visitor"),
        ("clicks", 0, 9, "no_visitor"), ("clicks", 1, 2, "no_visitor"), ("clicks", 0, 4, "quarantined"),
        ("pathline.sessions", 0, 2, "refused_by_database"),
    )  # fmt: skip
    now = rejected(("clicks", 0, 2, "no_time"), ("clicks", 0, 5, "not_json"))
    late_now = rejected(("clicks", 0, 3, ""), ("clicks", 0, 7, ""))
    compared = compare(before, now, late_now, {("clicks", 0): Range(0, 9)})
    (row,) = compared.reasons.values()
    assert (row.before, row.accepted, row.late, row.rejected, row.not_read) == (5, 1, 1, 1, 2)
    assert row.example == "clicks:0:2 (no_time)"
    assert (compared.new, compared.example_of_new) == (1, "clicks:0:5 (not_json)")


def test_what_no_mapping_mends_is_named_apart() -> None:
    before = rejected(
        ("clicks", 0, 1, "not_json"), ("clicks", 0, 4, "quarantined"),
        ("pathline.sessions", 0, 2, "refused_by_database"),
    )  # fmt: skip
    said = "\n".join(told_before(before, "chdb://old"))
    assert "1 records in chdb://old were rejected (1 not_json)" in said
    assert "quarantined, and are read again: clicks:0:4" in said
    assert "1 rows that the database refused" in said
    assert "pathline.sessions" not in said
