"""Migrations: each once, never edited; views follow their text."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from sinks.base import SinkRefused
from sinks.clickhouse import migrate as migrating
from sinks.clickhouse.client import connect, target
from sinks.clickhouse.migrate import Script, migrate, migrations, views


@pytest.fixture
def client(tmp_path: Path) -> Iterator[Any]:
    client = connect(target(f"chdb://{tmp_path / 'db'}"))
    yield client
    client.close()


def names(client: Any, sql: str) -> list[str]:
    return [row[0] for row in client.query(sql).result_rows]


def test_a_fresh_database_gets_all_and_a_second_start_nothing(client: Any) -> None:
    done = [script.name for script in migrate(client, embedded=True)]
    assert done[0] == "tables"
    assert {script.name for script in views()} <= set(done)
    assert migrate(client, embedded=True) == []
    assert len(names(client, "SELECT name FROM system.tables WHERE database = 'bi'")) == len(views())


def test_a_dry_run_tells_the_same_and_does_nothing(client: Any) -> None:
    would = migrate(client, embedded=True, dry_run=True)
    assert names(client, "SELECT name FROM system.databases WHERE name IN ('pathline', 'bi')") == []
    assert all(script.statements for script in would)
    assert migrate(client, embedded=True) == would
    assert migrate(client, embedded=True, dry_run=True) == []


def test_an_edited_migration_is_refused(client: Any) -> None:
    migrate(client, embedded=True)
    edited = [replace(script, text=script.text + "\n-- better\n") for script in migrations()]
    with pytest.raises(SinkRefused, match="0001"):
        migrate(client, embedded=True, scripts=edited)


def test_a_database_newer_than_the_code_is_refused(client: Any) -> None:
    newer = [*migrations(), Script("later", len(migrations()) + 1, "", "SELECT 1")]
    migrate(client, embedded=True, scripts=newer)
    with pytest.raises(SinkRefused, match="knows"):
        migrate(client, embedded=True)


def test_a_view_is_made_again_when_its_text_changes(client: Any) -> None:
    migrate(client, embedded=True)
    changed = [
        replace(script, text=script.text.replace("Device or browser", "The browser"))
        if script.name == "transitions"
        else script
        for script in views()
    ]
    assert [script.name for script in migrate(client, embedded=True, view_scripts=changed)] == ["transitions"]
    assert "The browser" in names(
        client, "SELECT comment FROM system.columns WHERE database = 'bi' AND table = 'transitions'"
    )
    assert [script.name for script in migrate(client, embedded=True)] == ["transitions"]


def test_a_crash_between_two_statements_is_made_good(client: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    real = migrating._run

    def crash(client: Any, script: Script) -> None:
        if script.name == "tables":
            client.command(script.statements[0])
            raise KeyboardInterrupt
        real(client, script)

    with monkeypatch.context() as patched:
        patched.setattr(migrating, "_run", crash)
        with pytest.raises(KeyboardInterrupt):
            migrate(client, embedded=True)
    assert migrate(client, embedded=True)[0].name == "tables"


def test_retention_is_for_servers_and_counts_from_the_write(client: Any) -> None:
    ttl = "SELECT create_table_query FROM system.tables WHERE database = 'pathline' AND name = '{}'"
    days = {"sessions": 400, "funnel_minute": 90, "late_events": 30, "events": 30}
    migrate(client, embedded=True)
    for table in days:
        assert "TTL" not in names(client, ttl.format(table))[0]
    migrate(client, embedded=False)  # the same engine: what a server would be told is valid
    for table, kept in days.items():
        assert f"TTL written_at + toIntervalDay({kept})" in names(client, ttl.format(table))[0]


def test_views_come_after_what_they_read() -> None:
    order = [script.name for script in views()]
    assert order.index("stage_visits") < order.index("dropoff")


def test_statements_end_at_lines_of_their_own() -> None:
    script = Script("x", 1, "", "SELECT ';'\n;\n\nSELECT 2;\n;\n")
    assert script.statements == ["SELECT ';'", "SELECT 2;"]
