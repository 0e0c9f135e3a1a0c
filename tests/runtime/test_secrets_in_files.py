"""Settings that stand in files, as secrets are handed to containers."""

from __future__ import annotations

from pathlib import Path

import pytest

from pipeline.settings import BadSettings, load_settings


def test_a_setting_can_stand_in_a_file_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "dsn").write_text("clickhouse://me:secret@host:8123\n")
    (tmp_path / "gap").write_text("45m")
    monkeypatch.setenv("PATHLINE_CLICKHOUSE_FILE", str(tmp_path / "dsn"))
    monkeypatch.setenv("PATHLINE_SESSION_GAP_FILE", str(tmp_path / "gap"))
    monkeypatch.setenv("PATHLINE_SOMETHING_FILE", "of somebody else")
    settings = load_settings({})
    assert settings.clickhouse == "clickhouse://me:secret@host:8123"
    assert settings.session_gap_ms == 45 * 60_000
    assert "secret" not in str(settings.shown())
    assert load_settings({"clickhouse": "null:"}).clickhouse == "null:", "an option beats it"


def test_a_file_that_cannot_be_read_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PATHLINE_CLICKHOUSE_FILE", str(tmp_path / "nowhere"))
    with pytest.raises(BadSettings) as raised:
        load_settings({})
    assert "PATHLINE_CLICKHOUSE_FILE" in str(raised.value)
    assert "nowhere: No such file" in str(raised.value)
    assert "hint: " in str(raised.value)


def test_addresses_and_names_are_lists(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PATHLINE_ADDRESSES", "a:1,b:2")
    monkeypatch.setenv("PATHLINE_QUARANTINE", "x.jsonl:0:1,x.jsonl:0:2")
    settings = load_settings({"process_id": 1})
    assert settings.addresses == ("a:1", "b:2")
    assert settings.quarantine == ("x.jsonl:0:1", "x.jsonl:0:2")
    assert (settings.processes, settings.restarts) == (2, 10)
    monkeypatch.delenv("PATHLINE_ADDRESSES")
    assert load_settings({}).restarts == 0, "one process runs as it was called"
