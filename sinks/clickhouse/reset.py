"""Emptying a place, so that a deployment can begin anew."""

from __future__ import annotations

from clickhouse_connect.driver.exceptions import ClickHouseError

from sinks.clickhouse.client import connect, target
from sinks.clickhouse.errors import first_line, refusal


def reset(dsn: str) -> None:
    """Drops the databases `bi` and `pathline`, with all that is in them. Raises SinkRefused."""
    place = target(dsn)
    client = connect(place)
    try:
        for database in ("bi", "pathline"):
            client.command(f"DROP DATABASE IF EXISTS {database} SYNC")
    except ClickHouseError as error:
        raise refusal(error, dsn) or RuntimeError(first_line(error, dsn)) from None
    finally:
        client.close()
