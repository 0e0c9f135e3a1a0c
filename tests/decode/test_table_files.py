"""CSV and Parquet files: every row has its number, the malformed ones too, wherever reading begins."""

from __future__ import annotations

import gzip
import io
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pipeline.sources.table_files import TablePart, TableUnreadable, csv_reader, parquet_reader

CSV = b'\xef\xbb\xbfa,"b"\r\n1,2\r\n\r\n3\r\n"x\ny",5\n4,5,6\n\xff,7\n7,8\n,""\n1,2,3\n4\n'
ROWS = {1: (b"1", b"2"), 3: (b"x\ny", b"5"), 5: (b"\xff", b"7"), 6: (b"7", b"8"), 7: (b"", b"")}
MALFORMED = {2: "3", 4: "4,5,6", 8: "1,2,3", 9: "4"}


def numbered(parts: list[TablePart]) -> tuple[dict[int, tuple[bytes, ...]], dict[int, str]]:
    """(good rows, malformed rows) by number; the parts follow each other without a gap."""
    good: dict[int, tuple[bytes, ...]] = {}
    malformed: dict[int, str] = {}
    first = parts[0].first if parts else 1
    for part in parts:
        rows = [tuple(row.values()) for row in part.batch.to_pylist()]
        good |= dict(zip(part.position.tolist(), rows, strict=True))
        malformed |= dict(part.malformed)
        assert part.first == first
        first = part.last + 1
    return good, malformed


@pytest.mark.parametrize("block_bytes", [16, 30, 1000])
@pytest.mark.parametrize("skip", range(10))
def test_csv_from_any_row_in_any_blocks(skip: int, block_bytes: int) -> None:
    good, malformed = numbered(list(csv_reader(io.BytesIO(CSV), skip, block_bytes)))
    assert good == {number: row for number, row in ROWS.items() if number > skip}
    assert malformed == {number: text for number, text in MALFORMED.items() if number > skip}


@pytest.mark.parametrize("data", [b"", b"\n\n", b"a,b", b"a,b\n", b"a,b\r\n\r\n\n"])
def test_csv_without_rows(data: bytes) -> None:
    assert list(csv_reader(io.BytesIO(data))) == []


def test_csv_with_malformed_rows_only() -> None:
    good, malformed = numbered(list(csv_reader(io.BytesIO(b"a,b\n1\n2\n"))))
    assert (good, malformed) == ({}, {1: "1", 2: "2"})


def test_csv_gzipped_in_members(tmp_path: Path) -> None:
    path = tmp_path / "rows.csv.gz"
    path.write_bytes(gzip.compress(b"a;b\n1;2\n") + gzip.compress(b"3;4\n"))
    good, _ = numbered(list(csv_reader(path, delimiter=";")))
    assert good == {1: (b"1", b"2"), 2: (b"3", b"4")}


@pytest.mark.parametrize("data", [b"a,a\n1,2\n", b"a,\xff\n1,2\n", b'a,b\n1,"' + b"x\n" * 100])
def test_csv_that_cannot_be_read(data: bytes) -> None:
    with pytest.raises(TableUnreadable):
        list(csv_reader(io.BytesIO(data), block_bytes=50))


def test_cells_are_never_null_and_never_numbers() -> None:
    (part,) = csv_reader(io.BytesIO(b"a,b\nNULL,NaN\n#N/A,01\n"))
    assert part.batch.to_pylist() == [{"a": b"NULL", "b": b"NaN"}, {"a": b"#N/A", "b": b"01"}]


@pytest.mark.parametrize("skip", [0, 1, 9, 10, 24, 25])
def test_parquet_from_any_row(tmp_path: Path, skip: int) -> None:
    path = tmp_path / "rows.parquet"
    pq.write_table(pa.table({"n": list(range(1, 26))}), path, row_group_size=10)
    parts = list(parquet_reader(path, skip, batch_rows=7))
    good, _ = numbered(parts)
    assert good == {n: (n,) for n in range(skip + 1, 26)}


def test_parquet_that_cannot_be_read(tmp_path: Path) -> None:
    path = tmp_path / "rows.parquet"
    path.write_bytes(b"no parquet")
    with pytest.raises(TableUnreadable):
        list(parquet_reader(path))
