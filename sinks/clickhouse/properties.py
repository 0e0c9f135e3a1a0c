"""One property of an event whose properties lie in a table as the text of a JSON object.

ClickHouse's own JSON functions read a number and write it anew (1.50 becomes 1.5), and give up on an object
with a number beyond their types in it. A property is the text that the record had, so it is taken out of the
object's text as it stands there. That text is one line without white space, in which no key is there twice.
"""

from __future__ import annotations

import re
from functools import cache
from typing import Final

import msgspec

DEPTH_MAX: Final = 200
"""As deep as a record can be nested; a pattern cannot count, so each level is written out."""

_STRING: Final = r'"(?:[^"\\]|\\.)*"'
_SCALAR: Final = rf'(?:{_STRING}|[^"\[\]{{}},]+)'


@cache
def _value() -> str:
    """Any value. Brackets of both kinds are one: the text is known to be valid."""
    inside = rf'(?:{_STRING}|[^"\[\]{{}}])*'
    for _ in range(DEPTH_MAX):
        inside = rf'(?:{_STRING}|[^"\[\]{{}}]|[\[{{]{inside}[\]}}])*'
    return rf"(?:{_SCALAR}|[\[{{]{inside}[\]}}])"


def pattern_of(name: str) -> str:
    """What finds the scalar that an object has under a key of its own, as its first group."""
    key = re.escape(msgspec.json.encode(name).decode())
    return rf"\A\{{(?:{_STRING}:{_value()},)*{key}:({_SCALAR})"


def text_of(column: str, pattern: str) -> str:
    """The property as the pipeline sees it: a string as it is, a number or boolean as written, else ''.

    `pattern` asks for the bound text of `pattern_of`.
    """
    found = f"extract({column}, {pattern})"
    return f"multiIf(startsWith({found}, '\"'), JSONExtractString({found}), {found} = 'null', '', {found})"
