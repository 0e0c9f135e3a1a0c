"""An error as ClickHouse's HTTP protocol tells it: a code, a text, and the status that goes with the code."""

from __future__ import annotations

import re
from typing import Final

_CODE: Final = re.compile(r"Code: (\d+)")
_UNKNOWN: Final = 1002  # UNKNOWN_EXCEPTION

STATUS: Final = (
    dict.fromkeys((6, 26, 27, 36, 38, 41, 42, 43, 53, 62, 70, 72, 117, 386, 427, 457), 400)
    | dict.fromkeys((46, 47, 50, 56, 60, 73, 81, 115, 511), 404)
    | {192: 403, 193: 403, 497: 403, 516: 403, 194: 401}
    | {202: 503, 209: 503, 439: 503, 159: 408, 48: 501, 158: 413, 396: 413, 307: 413}
)
"""As a server answers, but for 202, 307, 396 and 497, which are 500 there. Every other code is 500."""


class Refused(Exception):  # noqa: N818 - reads as what it is
    """A request that gets an error for an answer. `text` is complete: `Code: N. DB::Exception: ...`."""

    def __init__(self, code: int, message: str) -> None:
        super().__init__(message)
        self.code = code
        self.text = message if _CODE.match(message) else f"Code: {code}. DB::Exception: {message}"

    @property
    def status(self) -> int:
        """The HTTP status."""
        return STATUS.get(self.code, 500)


def refused(error: BaseException) -> Refused:
    """What the engine said, as an answer."""
    text = str(error).strip() or type(error).__name__
    found = _CODE.search(text)
    return Refused(int(found[1]), text[found.start() :]) if found else Refused(_UNKNOWN, text)
