"""What a reader over HTTP may do: how much, with which settings, by which statements."""

from __future__ import annotations

import os
import re
from typing import Any, Final

from sinks.clickhouse.query import QueryRefused, refuse_unless_read
from sinks.clickhouse.serve_errors import Refused, refused

LIMITS: Final[dict[str, str]] = {
    "max_execution_time": "60",  # seconds
    "timeout_overflow_mode": "throw",
    "max_memory_usage": str(1 << 30),
    "max_result_rows": "10000000",
    "max_result_bytes": str(256 << 20),
    "result_overflow_mode": "throw",
    "max_threads": str(max(1, (os.cpu_count() or 2) // 2)),  # the cores are the pipeline's
}
"""Of one query of a reader."""

HARMLESS: Final = frozenset(
    {
        "cast_string_to_dynamic_use_inference", "date_time_input_format", "date_time_output_format",
        "extremes", "format_csv_delimiter", "join_use_nulls", "limit", "max_block_size", "offset",
        "session_timezone",
        "output_format_arrow_compression_method", "output_format_arrow_string_as_string",
        "output_format_json_named_tuples_as_objects", "output_format_json_quote_64bit_floats",
        "output_format_json_quote_64bit_integers", "output_format_json_quote_decimals",
        "output_format_json_quote_denormals", "output_format_native_encode_types_in_binary_format",
        "output_format_parquet_string_as_string", "output_format_write_statistics",
    }
)  # fmt: skip
"""Settings that a reader may bring: how values are written, and little more. All others are passed over in
silence, for BI tools send many. (Not by prefix: `output_format_schema` names a file that is written.)"""

TRANSPORT: Final = frozenset(
    {
        "buffer_size", "cancel_http_readonly_queries_on_client_close", "client_protocol_version",
        "close_session", "compress", "decompress", "enable_http_compression",
        "http_headers_progress_interval_ms", "query_id", "quota_key", "readonly", "role",
        "send_progress_in_http_headers", "session_check", "session_id", "session_timeout", "stacktrace",
        "wait_end_of_query",
    }
)  # fmt: skip
"""What a client tells the HTTP interface rather than the engine."""

_LITERAL: Final = re.compile(r"'(?:[^'\\]|\\.)*'", re.DOTALL)
_READS_FILES: Final = re.compile(r"\b(file|catboostEvaluate)\s*\(")
_OUR_TEXT: Final = re.compile(r": In scope SELECT formatQuery.*", re.DOTALL)


def refuse_unless_harmless(handle: Any, sql: str) -> None:
    """Raises Refused for what `readonly` lets pass and would read or write files of this process. Judged is
    what the engine's own parser makes of it: one statement, without comments, names in plain form.
    """
    try:
        refuse_unless_read(sql)
        plain = _LITERAL.sub("''", _plain(handle, sql))
        refuse_unless_read(plain)
    except QueryRefused as error:
        raise Refused(164, f"{error}. (READONLY)") from None
    if found := _READS_FILES.search(plain):
        raise Refused(497, f"Not enough privileges: {found[1]}() reads files. (ACCESS_DENIED)")


def _plain(handle: Any, sql: str) -> str:
    escaped = sql.replace("\\", "\\\\").replace("\t", "\\t").replace("\n", "\\n").replace("\r", "\\r")
    question = "SELECT formatQuerySingleLine({sql:String})"
    try:
        text: bytes = handle.query(question, "TabSeparatedRaw", params={"sql": escaped}).bytes()
    except RuntimeError as error:
        said = refused(error)
        raise Refused(said.code, _OUR_TEXT.sub("", said.text)) from None
    return text.decode(errors="replace")
