"""An event that is fatal when its time comes, long after its record was read."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

from tests.e2e.conftest import Stream
from tests.e2e.runs import Place, same
from tests.e2e.test_restarts import faulty


def test_an_event_that_is_fatal_when_its_time_comes_is_named_and_taken_out_of_the_snapshot(
    stream: Stream, tmp_path: Path
) -> None:
    """Another record makes its time pass, and it is in the last snapshot by then."""
    files = stream(1_500, 11, 2)
    number = 1_000
    poison = json.loads(files[1].read_bytes().splitlines()[number - 1])["event_id"]
    options = ("--restarts-max", "6", "--epoch", "100ms")
    place = Place(tmp_path, files, options, "parquet", {"PATHLINE_BATCH_ROWS": "60"})
    sick = faulty(place, f"track:{poison}")
    record = f"{files[1].name}:1:{number}"
    said = sick.run().refused(f"the run fails each time on the record {record}, in the step track").said
    assert f"--quarantine {record} sets it aside" in said

    assert "set aside: " not in sick.run("--quarantine", record).clean().said, (
        "it was accepted when it was read"
    )
    rows = place.rows()
    (rejected,) = rows["rejected_events"]
    assert "'reason': 'quarantined'" in rejected
    assert f"'position': {number}," in rejected
    assert poison in rejected

    knowing = replace(place, folder=tmp_path / "knowing", options=("--quarantine", record))
    knowing.folder.mkdir()
    knowing.run().clean()
    apart = ("rejected_events", "conservation")  # there it is rejected unread, and so counted
    expected = {table: told for table, told in knowing.rows().items() if table not in apart}
    same({table: told for table, told in rows.items() if table not in apart}, expected)
