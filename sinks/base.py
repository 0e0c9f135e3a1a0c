"""What every sink promises, and how it says no."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final, Protocol
from urllib.parse import unquote

import pyarrow as pa


@dataclass(frozen=True)
class Deployment:
    """Whose rows these are. One database belongs to one deployment: counters of another shard count,
    or rows of another stream, would mix with ours and nobody could tell them apart again.
    """

    id: str
    shards: int
    state_format: int


class SinkRefused(Exception):  # noqa: N818 - the word that users read
    """The configuration is at fault, not the code: shown as message and hint, without a traceback."""

    def __init__(self, message: str, hint: str) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint

    def __str__(self) -> str:
        return f"{self.message} ({self.hint})"


class SinkUnavailable(Exception):  # noqa: N818 - the word that users read
    """The place was right but gave no acknowledgement for as long as we were willing to wait. Nothing
    is lost: what was not acknowledged is read and written again at the next start.
    """


class Sink(Protocol):
    """A place for rows. `open`, then any number of `write`, then `close`; one thread at a time."""

    def open(self, deployment: Deployment) -> None:
        """Connect, prepare what is missing, and refuse a place that belongs to another deployment."""

    def write(self, table: str, batch: pa.RecordBatch) -> None:
        """Write one block. Returns when it is acknowledged as stored.

        Safe to repeat with any rows, cut in any way: a row replaces itself by its key, of a row with a
        history the highest version stays, and counters merge by their maximum.
        """

    def close(self) -> None:
        """Let go of the place. What was acknowledged is there when it is opened again."""


_USERINFO: Final = re.compile(r"(?<=://)([^/@:]*):(.*)@(?=[^@]*$)")
_QUERY_SECRET: Final = re.compile(
    r"([?&][\w.%-]*(?:password|passphrase|secret|token|key\.pem|oauthbearer\.config)=)[^&#]*", re.IGNORECASE
)
MASK: Final = "***"


def mask_dsn(dsn: str) -> str:
    """The DSN with its secrets replaced: the only form that may be shown, logged or raised."""
    return _QUERY_SECRET.sub(rf"\1{MASK}", _USERINFO.sub(rf"\1:{MASK}@", dsn))


def mask_text(text: str, dsn: str) -> str:
    """A driver's message without the secrets of `dsn`, as written or percent-decoded."""
    found = _USERINFO.search(dsn)
    secrets = [found[2]] if found else []
    secrets += [hit[0].split("=", 1)[1] for hit in _QUERY_SECRET.finditer(dsn)]
    masked = text.replace(dsn, mask_dsn(dsn))
    for secret in secrets:
        for form in (secret, unquote(secret)):
            if form:
                masked = masked.replace(form, MASK)
    return masked
