"""Records that are set aside by name: not looked at, counted, kept."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from pipeline.core.decode.aside import AsideDecoder
from pipeline.core.decode.decoder import TimeBounds
from pipeline.sources import quarantine
from pipeline.sources.files import open_reader
from schemas.mappings import load_mapping

LINE = '{"event_at":"2026-01-01T00:00:%02dZ","event":"view","visitor_id":"v%d"}'


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "events.jsonl"
    lines = [LINE % (n, n) for n in range(1, 11)]
    lines[6] = "no JSON at all"  # record 7 is a reject of its own
    path.write_text("\n".join(lines) + "\n")
    return path


def read(file: Path, named: list[int], rows_max: int, *, ordered: bool = False) -> dict[int, str]:
    """What became of each record, by its position: a visitor, or why not."""
    decoder = AsideDecoder(load_mapping("canonical"), (), TimeBounds(2_000_000_000_000))
    reader = open_reader(file, decoder, growing=False, ordered=ordered)
    aside = quarantine.QuarantineReader(reader, decoder, np.array(named))
    found: dict[int, str] = {}
    while (block := aside.read(rows_max)) is not None:
        decoded = block.decoded
        assert len(block.position) == decoded.records == len(decoded.rows) + len(decoded.rejects)
        visitors = decoded.batch.column("visitor_id").to_pylist()
        found |= dict(zip(block.position[decoded.rows].tolist(), visitors, strict=True))
        for reject in decoded.rejects:
            found[int(block.position[reject.row])] = str(reject.reason)
            assert reject.payload == file.read_bytes().splitlines()[block.position[reject.row] - 1]
    aside.close()
    return found


@pytest.mark.parametrize("rows_max", [1, 3, 100])
@pytest.mark.parametrize("ordered", [False, True])
def test_named_records_are_rejected_and_no_others(file: Path, rows_max: int, ordered: bool) -> None:
    named = [1, 4, 5, 7, 10, 11]
    expected = {n: "quarantined" if n in named else f"v{n}" for n in range(1, 11)}
    assert read(file, named, rows_max, ordered=ordered) == expected
    assert read(file, [], rows_max, ordered=ordered) == {n: f"v{n}" for n in range(1, 11)} | {7: "not_json"}


def test_they_are_not_even_decoded(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from pipeline.core.decode.decoder import Decoder

    records = Decoder.records

    def fatal(self: Decoder, found: object) -> object:
        decoded = records(self, found)  # type: ignore[arg-type]
        assert not any(b'"v4"' in decoded.payload(row) for row in range(decoded.records))
        return decoded

    monkeypatch.setattr(Decoder, "records", fatal)
    with pytest.raises(AssertionError):
        read(file, [], 100)
    assert read(file, [4], 100)[4] == "quarantined"


def test_names_are_kept_for_the_life_of_the_folder(tmp_path: Path) -> None:
    quarantine.keep(tmp_path, [])
    assert not list(tmp_path.iterdir())
    quarantine.keep(tmp_path, ["a:b.jsonl:1:30", "other:0:5"])
    quarantine.keep(tmp_path, ["a:b.jsonl:1:2", "other:0:5"])
    assert quarantine.positions_of(tmp_path, "a:b.jsonl", 1).tolist() == [2, 30]
    assert quarantine.positions_of(tmp_path, "other", 0).tolist() == [5]
    assert quarantine.positions_of(tmp_path, "other", 1).tolist() == []


def test_a_name_that_names_nothing_says_what_there_is() -> None:
    assert quarantine.problems(["a:b.jsonl:0:30"], [("a:b.jsonl", 0)]) == []
    for wrong in ("a:b.jsonl:1:30", "b.jsonl:0:30", "a:b.jsonl:0:x", "30"):
        (problem,) = quarantine.problems([wrong], [("a:b.jsonl", 0)])
        assert wrong in problem
        assert "\n  hint: " in problem
