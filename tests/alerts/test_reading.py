"""Alerts out of a database: as they were written, and those that are wanted."""

from __future__ import annotations

import logging
from pathlib import Path

import pytest

from pipeline.alerts.courier import CannotRead
from pipeline.alerts.reading import DatabaseReader
from sinks.base import SinkRefused
from tests.alerts.database import holding
from tests.alerts.made import ALERT, HOUR, T0, alert, over
from tests.sinks import clickhouse_server
from tests.sinks.faults import FaultProxy

GONE = over(alert(alert_id="0b" * 16, unaffected=("device=desktop",), segment="device=mobile"), T0 + HOUR)


def test_alerts_are_read_as_they_were_written() -> None:
    reader = DatabaseReader(holding([ALERT, GONE]))
    assert reader.read(T0, ()) == [ALERT, GONE]
    assert reader.read(T0 + 2 * HOUR, ()) == [ALERT], "what is over for long is left out"
    assert reader.read(T0 + 2 * HOUR, [GONE.alert_id, "ff" * 16]) == [ALERT, GONE], (
        "unless somebody must hear it"
    )
    reader.close()
    assert reader.read(T0, ()) == [ALERT, GONE], "it connects again"
    reader.close()


def test_what_cannot_be_read_is_said_without_the_password() -> None:
    dsn = holding([])
    reader = DatabaseReader(dsn.replace("s3cret", "wr0ng"))
    with pytest.raises(CannotRead) as raised:
        reader.read(T0, ())
    assert "wr0ng" not in str(raised.value)
    assert "\n" not in str(raised.value)
    with pytest.raises(SinkRefused):
        DatabaseReader("nothing")


def test_a_database_that_goes_away_is_said_once_and_without_a_traceback(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    holding([ALERT])
    proxy = FaultProxy(clickhouse_server.port())
    reader = DatabaseReader(clickhouse_server.dsn(proxy.port))
    try:
        assert reader.read(T0, ()) == [ALERT]
        proxy.down()
        monkeypatch.setattr(logging.root, "handlers", [])  # as in a run: the driver would print its own words
        with pytest.raises(CannotRead):
            reader.read(T0, ())
    finally:
        reader.close()
    assert capsys.readouterr().err == ""


def test_an_embedded_database_is_left_to_the_run_that_has_it(tmp_path: Path) -> None:
    reader = DatabaseReader(f"chdb://{tmp_path / 'db'}")
    with pytest.raises(CannotRead, match="no run has the embedded database open"):
        reader.read(T0, ())
    assert not (tmp_path / "db").exists()
