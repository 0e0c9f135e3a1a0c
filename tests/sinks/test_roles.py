"""Least privilege: what roles.sql grants is enough to write, enough to read, and no more.

The engine takes roles from a users file only, so the grants are put into one, as they are.
"""

from __future__ import annotations

import re
import xml.etree.ElementTree as ET
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from clickhouse_connect.driver.exceptions import DatabaseError

from sinks.clickhouse.client import connect, target
from sinks.clickhouse.migrate import SQL, Script
from sinks.clickhouse.reset import reset
from sinks.clickhouse.writer import ClickHouseSink
from tests.sinks.places import OURS
from tests.sinks.rows import SAMPLES, batch

WRITER, READER = "pathline_writer", "pathline_reader"
GRANT = re.compile(r"(?:--[^\n]*\n)*(GRANT .+) TO (\w+)")


def grants() -> dict[str, list[str]]:
    """The grants of each role in roles.sql."""
    found = defaultdict(list)
    for statement in Script("roles", 0, "", (SQL / "roles.sql").read_text("utf-8")).statements:
        if granted := GRANT.fullmatch(statement):
            found[granted[2]].append(granted[1])
    return found


def configuration(folder: Path) -> Path:
    """A server's configuration whose only user has the two roles and no right of its own."""
    top = ET.Element("clickhouse")
    ET.SubElement(ET.SubElement(top, "profiles"), "default")
    ET.SubElement(ET.SubElement(top, "quotas"), "default")
    roles = ET.SubElement(top, "roles")
    for role, queries in grants().items():
        listed = ET.SubElement(ET.SubElement(roles, role), "grants")
        for query in queries:
            ET.SubElement(listed, "query").text = query
    user = ET.SubElement(ET.SubElement(top, "users"), "default")
    for name, text in (("password", ""), ("profile", "default"), ("quota", "default")):
        ET.SubElement(user, name).text = text
    ET.SubElement(ET.SubElement(user, "networks"), "ip").text = "::/0"
    own = ET.SubElement(user, "grants")
    for role in (WRITER, READER):
        ET.SubElement(own, "query").text = f"GRANT {role}"
    ET.ElementTree(top).write(folder / "users.xml")
    config = ET.Element("clickhouse")
    ET.SubElement(config, "users_config").text = str(folder / "users.xml")
    ET.ElementTree(config).write(folder / "config.xml")
    return folder / "config.xml"


@pytest.fixture(scope="module")
def dsn(tmp_path_factory: pytest.TempPathFactory) -> str:
    folder = tmp_path_factory.mktemp("roles")
    administrator = connect(target(f"chdb://{folder / 'db'}"))
    administrator.command("CREATE DATABASE other")
    administrator.command("CREATE TABLE other.secret ENGINE = MergeTree ORDER BY a AS SELECT 1 AS a")
    administrator.close()
    return f"chdb://{folder / 'db'}?config-file={configuration(folder)}"


@pytest.fixture(scope="module")
def sink(dsn: str) -> Iterator[ClickHouseSink]:
    """Made by the writer: databases, tables, views, rows of every kind."""
    sink = ClickHouseSink(dsn)
    fill(sink)
    yield sink
    sink.close()


def fill(sink: ClickHouseSink) -> None:
    sink.open(OURS)
    for table, row in SAMPLES.items():
        sink.write(table, batch(table, [row]))


@pytest.fixture(params=[WRITER, READER])
def role(request: pytest.FixtureRequest, sink: ClickHouseSink) -> Iterator[tuple[str, Any]]:
    client = connect(sink._target)
    client.command(f"SET ROLE {request.param}")
    yield request.param, client
    client.close()


def test_the_user_has_no_right_but_by_the_roles(sink: ClickHouseSink) -> None:
    client = connect(sink._target)
    assert client.command("SHOW GRANTS") == f"GRANT {READER}, {WRITER} TO default"
    client.close()


def test_every_view_can_be_read_by_both(role: tuple[str, Any]) -> None:
    _, client = role
    views = client.query("SELECT name FROM system.tables WHERE database = 'bi'").result_columns[0]
    assert len(views) > 15
    for view in views:
        client.query(f"SELECT * FROM bi.{view}")
    assert client.command("SELECT count() FROM bi.transitions_all") == 1


@pytest.mark.parametrize(
    "sql",
    [
        "SELECT * FROM pathline.sessions",
        "INSERT INTO pathline.deployment (id) VALUES ('x')",
        "ALTER TABLE pathline.sessions DELETE WHERE 1",
        "DROP TABLE pathline.sessions",
        "DROP VIEW bi.sessions",
        "CREATE VIEW bi.mine AS SELECT 1",
        "DROP DATABASE bi",
    ],
)
def test_a_reader_has_the_views_and_nothing_behind_them(sink: ClickHouseSink, sql: str) -> None:
    client = connect(sink._target)
    client.command(f"SET ROLE {READER}")
    with pytest.raises(DatabaseError) as refused:
        client.command(sql)
    assert refused.value.code == 497
    client.close()


@pytest.mark.parametrize(
    "sql",
    [
        "SELECT * FROM other.secret",
        "INSERT INTO other.secret VALUES (2)",
        "DROP TABLE other.secret",
        "CREATE TABLE other.mine (a Int8) ENGINE = MergeTree ORDER BY a",
        "CREATE TABLE default.mine (a Int8) ENGINE = MergeTree ORDER BY a",
        "CREATE DATABASE more",
        "DROP DATABASE other",
        "SELECT * FROM file('/etc/passwd', 'LineAsString')",
        "SELECT * FROM url('http://127.0.0.1:9/', 'LineAsString')",
        "SELECT * FROM remote('127.0.0.1', 'other.secret')",
        "CREATE USER mine",
        "GRANT SELECT ON other.* TO default",
        "SYSTEM SHUTDOWN",
        "SYSTEM STOP MERGES other.secret",
    ],
)
def test_neither_has_anything_beyond_the_two_databases(role: tuple[str, Any], sql: str) -> None:
    _, client = role
    with pytest.raises(DatabaseError) as refused:
        client.command(sql)
    assert refused.value.code == 497


def test_the_writer_can_upgrade_and_empty_its_databases_and_only_them(dsn: str, sink: ClickHouseSink) -> None:
    client = connect(sink._target)
    client.command("ALTER TABLE pathline.orders ADD COLUMN IF NOT EXISTS more String")
    client.command("CREATE OR REPLACE VIEW bi.limits AS SELECT 1 AS x")
    reset(dsn)
    assert client.command("SELECT count() FROM system.databases WHERE name IN ('pathline', 'bi')") == 0
    client.close()
    sink.close()
    fill(sink)  # as it was
