"""Runs the statements of this folder over the lines of some files: the answers, worked out by SQL alone."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from chdb.session import Session

STATEMENTS = sorted(Path(__file__).parent.glob("*.sql"))
RAW = "CREATE TABLE raw (partition Int32, position Int64, line String) ENGINE = Memory"
CHANGES = """
    SELECT kind, count() AS changes, toString(sum(taken_back)) AS taken_back
    FROM order_changes GROUP BY kind"""
ORDERS = """
    SELECT site, currency, count() AS orders, toString(sum(value)) AS value, countIf(is_late) AS late
    FROM orders GROUP BY ALL"""

Row = dict[str, Any]


@dataclass(frozen=True)
class Answer:
    """Times in ms, money in 1/10,000; 0 is no time."""

    objects: list[Row]
    visits: list[Row]
    sessions: list[Row]
    orders: list[Row]
    changes: list[Row]
    rates: list[Row]
    admission: list[Row]


QUESTIONS = {
    "objects": "SELECT * EXCEPT (chain, object) FROM objects ORDER BY site, visitor_id, object",
    "visits": "SELECT site, visitor_id, started_at, ended_at, events FROM sessions",
    "sessions": "SELECT * FROM session_outcomes ORDER BY site, visitor_id, started_at",
    "orders": ORDERS + " ORDER BY ALL",
    "changes": CHANGES + " ORDER BY ALL",
    "rates": "SELECT * FROM rates ORDER BY ALL",
    "admission": """
        SELECT (SELECT count() FROM records) AS events, (SELECT count() FROM duplicates) AS duplicates,
            (SELECT count() FROM copies) AS copies, (SELECT countIf(is_late) FROM admitted) AS late,
            (SELECT countIf(is_repeat) FROM placed) AS repeats""",
}
assert QUESTIONS.keys() == {field.name for field in fields(Answer)}


def answer(partitions: Sequence[Sequence[bytes]]) -> Answer:
    """What the lines of each partition, in their order, should come to. Lines count from 1."""
    with TemporaryDirectory() as folder:
        session = Session(f"{folder}/clickhouse")
        try:
            _load(session, partitions, Path(folder) / "raw.tsv")
            for file in STATEMENTS:
                for statement in statements(file.read_text()):
                    session.query(statement)
            return Answer(**{name: _rows(session, sql) for name, sql in QUESTIONS.items()})
        finally:
            session.close()


def statements(text: str) -> list[str]:
    """The statements of a file: each ends with a `;` at the end of its line."""
    return [part for part in text.split(";\n") if part.strip()]


def _load(session: Session, partitions: Sequence[Sequence[bytes]], path: Path) -> None:
    """The lines as they are, beside their places; a tab or backslash in one would end it."""
    with path.open("wb") as file:
        for partition, lines in enumerate(partitions):
            for position, line in enumerate(lines, 1):
                assert b"\t" not in line
                file.write(b"%d\t%d\t%s\n" % (partition, position, line))
    columns = "partition Int32, position Int64, line String"
    session.query(RAW)
    session.query(f"INSERT INTO raw SELECT * FROM file('{path}', 'TSVRaw', '{columns}')")


def _rows(session: Session, sql: str) -> list[Row]:
    settings = " SETTINGS output_format_json_quote_64bit_integers = 0"
    text = str(session.query(sql + settings, "JSONEachRow"))
    return [json.loads(line) for line in text.splitlines()]
