"""`pathline query`: answers in three forms, never a change, and faults in a line."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path

import pytest

from tests.cli.run import pathline

SQL = "SELECT toDateTime('2026-01-05 06:00:00', 'UTC') AS time, ['a', 'b'] AS path, NULL AS rate, 1.5 AS x"


@pytest.fixture(scope="module")
def database(tmp_path_factory: pytest.TempPathFactory) -> str:
    folder = tmp_path_factory.mktemp("query")
    dsn = f"chdb://{folder / 'clickhouse'}"
    done = pathline("migrate", "--clickhouse", dsn, cwd=folder)
    assert done.returncode == 0, done.stderr
    return dsn


def test_a_table_for_people(database: str, tmp_path: Path) -> None:
    done = pathline("query", "--clickhouse", database, SQL, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    head, row = done.stdout.rstrip().splitlines()
    assert head.split() == ["time", "path", "rate", "x"]
    assert "2026-01-05 06:00:00" in row
    assert row.split()[-1] == "1.5"


def test_json_and_csv_for_programs(database: str, tmp_path: Path) -> None:
    done = pathline(
        "query", "--clickhouse", database, "--format", "json", f"{SQL} FROM numbers(2)", cwd=tmp_path
    )
    rows = [json.loads(line) for line in done.stdout.splitlines()]
    assert len(rows) == 2
    assert rows[0]["path"] == ["a", "b"]
    assert rows[0]["rate"] is None
    done = pathline(
        "query", "--clickhouse", database, "--format", "csv", "SELECT 1 AS a, 'x,y' AS b", cwd=tmp_path
    )
    assert list(csv.DictReader(io.StringIO(done.stdout))) == [{"a": "1", "b": "x,y"}]


def test_every_view_answers(database: str, tmp_path: Path) -> None:
    sql = "SELECT name FROM system.tables WHERE database = 'bi' ORDER BY name"
    done = pathline("query", "--clickhouse", database, "--format", "csv", sql, cwd=tmp_path)
    names = done.stdout.replace('"', "").split()[1:]
    assert {"sessions", "transitions", "dropoff", "conservation"} <= set(names)
    union = " UNION ALL ".join(f"SELECT count() FROM bi.{name}" for name in names)
    done = pathline("query", "--clickhouse", database, "--format", "csv", union, cwd=tmp_path)
    assert done.stdout.split()[1:] == ["0"] * len(names)


@pytest.mark.parametrize(
    ("sql", "said"),
    [
        ("DROP TABLE pathline.sessions", "only SELECT"),
        ("SELECT 1 INTO OUTFILE 'x'", "OUTFILE"),
        ("SELECT nothing FROM bi.sessions", "nothing"),
        ("SELECT * FROM bi.sesions", "sesions"),
    ],
)
def test_what_is_refused_or_wrong_is_said_without_a_traceback(
    sql: str, said: str, database: str, tmp_path: Path
) -> None:
    done = pathline("query", "--clickhouse", database, sql, cwd=tmp_path)
    assert done.returncode == 2, done.stderr[-300:]
    assert said in done.stderr
    assert "Traceback" not in done.stderr
    assert not done.stdout


def test_no_database_is_no_new_database(tmp_path: Path) -> None:
    done = pathline("query", "--clickhouse", f"chdb://{tmp_path / 'none'}", "SELECT 1", cwd=tmp_path)
    assert done.returncode == 2
    assert "hint: " in done.stderr
    assert not (tmp_path / "none").exists()
