"""What an error of ClickHouse means for us: try again, stop and tell the operator, or a fault of ours."""

from __future__ import annotations

import errno
import re
from typing import Final

from clickhouse_connect.driver.exceptions import OperationalError

from sinks.base import SinkRefused, mask_dsn, mask_text

RETRYABLE_CODES: Final = frozenset(
    {
        159,  # TIMEOUT_EXCEEDED
        201,  # QUOTA_EXCEEDED: until its interval is over
        202,  # TOO_MANY_SIMULTANEOUS_QUERIES
        203,  # NO_FREE_CONNECTION
        209,  # SOCKET_TIMEOUT
        210,  # NETWORK_ERROR
        236,  # ABORTED: the server is stopping
        241,  # MEMORY_LIMIT_EXCEEDED
        242,  # TABLE_IS_READ_ONLY: a replica that lost its keeper for a moment
        252,  # TOO_MANY_PARTS
        285,  # TOO_FEW_LIVE_REPLICAS
        286,  # UNSATISFIED_QUORUM_FOR_PREVIOUS_WRITE
        319,  # UNKNOWN_STATUS_OF_INSERT: the same bytes again do no harm
        394,  # QUERY_WAS_CANCELLED: by an administrator
        439,  # CANNOT_SCHEDULE_TASK
        999,  # KEEPER_EXCEPTION
    }
)

READONLY_CODE: Final = 164

REFUSAL_HINTS: Final = {
    60: "a table is missing: was the database changed by hand? `pathline migrate` brings it up to date",
    81: "the database is missing: `pathline migrate` makes it",
    READONLY_CODE: "the user may only read: it must be able to create, alter and insert in pathline and bi",
    497: "the user lacks a right: it must be able to create, alter and insert in databases pathline and bi",
    516: "user or password is wrong",
    192: "the user does not exist",
    193: "user or password is wrong",
    194: "the user needs a password",
}

FULL_DISK_CODE: Final = 243
_WRAPPING: Final = re.compile(
    r"^Received ClickHouse exception, code: \d+, server response: |\s*\(for url [^)]*\)\s*$"
)
"""What the driver puts around a server's words."""
_FULL_DISK: Final = re.compile(r"NOT_ENOUGH_SPACE|No space left on device|errno: 28\b")
_BUSY: Final = re.compile(r"HTTP status (408|429|502|503|504)\b")


def error_code(error: BaseException) -> int | None:
    """ClickHouse's number of the error, where it came from ClickHouse."""
    code = getattr(error, "code", None)
    return code if isinstance(code, int) else None


def is_transient(error: BaseException) -> bool:
    """True where the same block sent again may well succeed: nobody judged the block, only the moment."""
    code = error_code(error)
    if code is not None:
        return code in RETRYABLE_CODES
    if isinstance(error, OperationalError | ConnectionError | TimeoutError):
        return True
    return bool(_BUSY.search(str(error)))


def kind(error: BaseException) -> str:
    """A short name of the error, to count by: ClickHouse's code, `http_503`, or `transport`."""
    code = error_code(error)
    if code is not None:
        return str(code)
    busy = _BUSY.search(str(error))
    return f"http_{busy[1]}" if busy else "transport"


def refusal(error: BaseException, dsn: str) -> SinkRefused | None:
    """The error as a word to the operator, where it is theirs to mend; else None. Secrets are masked."""
    code = error_code(error)
    shown, text = mask_dsn(dsn), first_line(error, dsn)
    full = isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT)
    if full or code == FULL_DISK_CODE or _FULL_DISK.search(str(error)):
        return SinkRefused(
            f"{shown}: the disk is full: {text}",
            "make room and start again: nothing acknowledged is lost, the rest is read again",
        )
    if code in REFUSAL_HINTS:
        return SinkRefused(f"{shown}: {text}", REFUSAL_HINTS[code])
    return None


def first_line(error: BaseException, dsn: str) -> str:
    """The gist of a driver's message, without secrets and stack traces."""
    text = _WRAPPING.sub("", mask_text(str(error), dsn))
    lines = text.strip().splitlines() or [type(error).__name__]
    return lines[0][:500]
