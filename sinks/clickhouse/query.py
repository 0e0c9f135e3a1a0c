"""Reading: SQL in, an Arrow table out, and nothing that could change or leave the database."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Final

import pyarrow as pa
from clickhouse_connect.driver.exceptions import ClickHouseError

from sinks.clickhouse.client import connect, target
from sinks.clickhouse.errors import READONLY_CODE, error_code, first_line, refusal

_QUOTED_OR_COMMENT: Final = re.compile(
    r"'(?:[^'\\]|\\.|'')*'|\"(?:[^\"\\]|\\.)*\"|`(?:[^`\\]|\\.)*`|--[^\n]*|#[! ][^\n]*|/\*.*?\*/", re.DOTALL
)
_READS: Final = re.compile(r"\s*\(*\s*(SELECT|WITH|SHOW|DESC|DESCRIBE|EXPLAIN|EXISTS)\b", re.IGNORECASE)
_LEAVES: Final = re.compile(r"\bOUTFILE\b", re.IGNORECASE)
_DESCRIBABLE: Final = re.compile(r"(?:\s|--[^\n]*\n)*\(*\s*(SELECT|WITH)\b", re.IGNORECASE)


class QueryRefused(Exception):  # noqa: N818 - reads as what it is
    """The question cannot be answered as asked: not a read, or ClickHouse found fault with it."""


class Reader:
    """A read-only connection; the embedded engine allows several in the process that has it open."""

    def __init__(self, dsn: str) -> None:
        self._dsn = dsn
        self._target = target(dsn)
        self._client = connect(self._target, readonly=True)

    def query(self, sql: str, parameters: Mapping[str, Any] | None = None) -> pa.Table:
        """Run one statement that reads. `{name:Type}` in it takes its value from `parameters`."""
        refuse_unless_read(sql)
        sql = sql.strip().rstrip(";")
        try:
            table = self._client.query_arrow(sql, parameters=dict(parameters or {}), use_strings=True)
            return self._with_times(sql, parameters, table)
        except ClickHouseError as error:
            raise self._said(error) from None

    def close(self) -> None:
        """Close the connection."""
        self._client.close()

    def __enter__(self) -> Reader:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _with_times(self, sql: str, parameters: Mapping[str, Any] | None, table: pa.Table) -> pa.Table:
        """ClickHouse sends a DateTime as bare seconds: give it back its type."""
        suspects = [field.name for field in table.schema if pa.types.is_uint32(field.type)]
        if not suspects or not _DESCRIBABLE.match(sql):
            return table
        described = self._client.query(f"DESCRIBE (\n{sql}\n)", parameters=dict(parameters or {})).result_rows
        for place, (name, type_, *_) in enumerate(described):
            if name in suspects and "DateTime" in type_ and "DateTime64" not in type_:
                seconds = table.column(place).cast(pa.int64()).cast(pa.timestamp("s", "UTC"))
                table = table.set_column(place, name, seconds)
        return table

    def _said(self, error: ClickHouseError) -> Exception:
        if error_code(error) == READONLY_CODE:  # the fault is the question's, not the user's rights
            return QueryRefused(first_line(error, self._dsn))
        return refusal(error, self._dsn) or QueryRefused(first_line(error, self._dsn))


def refuse_unless_read(sql: str) -> None:
    """Raise QueryRefused for what `readonly` lets pass and we do not: KILL, SET, and INTO OUTFILE, by
    which the embedded engine would write any file that this process may write.
    """
    if _LEAVES.search(sql):  # anywhere: no literal or comment is worth a hole in this
        raise QueryRefused("INTO OUTFILE is not allowed here, nor the word in a literal")
    bare = _QUOTED_OR_COMMENT.sub(" ", sql)
    if not _READS.match(bare) or "*/" in bare:  # what is left of a comment within a comment
        raise QueryRefused("only SELECT, WITH, SHOW, DESCRIBE, EXPLAIN and EXISTS are answered here")
