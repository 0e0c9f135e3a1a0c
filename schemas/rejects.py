"""Why a record cannot be an event: a closed list, the same in code, tables, metrics and docs."""

from __future__ import annotations

from enum import StrEnum
from typing import Final

RECORD_BYTES_MAX: Final = 1_000_000
"""A longer record is rejected unread: one of them must not decide how much memory a batch takes."""

PAYLOAD_BYTES_MAX: Final = 64_000
"""So much of a record that was set aside is kept: enough to mend it, too little to fill the disk."""


class RejectReason(StrEnum):
    """The order is that of the tests a record meets; the first that fails names it. The last one is of rows
    that we made, not of a record.
    """

    TOO_LARGE = "too_large"
    NULL_BYTE = "null_byte"
    INVALID_UTF8 = "invalid_utf8"
    CUT_LINE = "cut_line"
    NOT_JSON = "not_json"
    NOT_A_ROW = "not_a_row"  # of CSV: more or fewer cells than the header
    WRONG_TYPE = "wrong_type"
    NO_VISITOR = "no_visitor"
    NO_TIME = "no_time"
    ABSURD_TIME = "absurd_time"
    QUARANTINED = "quarantined"  # by somebody, by name: it was not looked at
    REFUSED_BY_DATABASE = "refused_by_database"  # a row of a table; its JSON is the payload
