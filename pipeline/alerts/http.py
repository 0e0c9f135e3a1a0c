"""HTTP as routes use it: one request with time limits, no redirects, and an answer judged by its status."""

from __future__ import annotations

import ssl
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from email.utils import parsedate_to_datetime
from typing import Final, Protocol
from urllib.parse import urlsplit
from urllib.request import getproxies, proxy_bypass

import certifi
import urllib3
from urllib3.exceptions import (
    ConnectTimeoutError,
    HTTPError,
    LocationParseError,
    NameResolutionError,
    NewConnectionError,
    ProxyError,
    SSLError,
)

from pipeline.alerts.notice import ANSWER_MAX, Delivered, Later, Outcome, Refused

CONNECT_SECONDS: Final = 5.0
READ_SECONDS: Final = 10.0
BODY_BYTES_MAX: Final = 64 << 10
"""Of an answer: no receiver of ours says more, and one that does must not fill the memory."""
RETRY_AFTER_MAX_SECONDS: Final = 3600.0
TRANSIENT: Final = (408, 425, 429)
AGENT: Final = "pathline"


@dataclass(frozen=True)
class Answer:
    """What a receiver said; the names of its headers are in lower case."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def text(self) -> str:
        return self.body.decode("utf-8", "replace").strip()


class NotReached(Exception):  # noqa: N818 - the word for it
    """No answer came. `may_have_it`: the request may have been taken all the same."""

    def __init__(self, reason: str, *, may_have_it: bool) -> None:
        super().__init__(reason)
        self.reason = reason
        self.may_have_it = may_have_it


class Http(Protocol):
    """A client, or what stands for one in a test."""

    def request(
        self, method: str, url: str, body: bytes | None = None, headers: Mapping[str, str] | None = None
    ) -> Answer:
        """The answer, whatever its status. Raises NotReached."""


class UrllibHttp:
    """A client that keeps connections; several threads may use it. Proxies are those of the environment."""

    def __init__(self, connect_seconds: float = CONNECT_SECONDS, read_seconds: float = READ_SECONDS) -> None:
        trusted = ssl.create_default_context()  # what this machine trusts, also a company's own authority
        trusted.load_verify_locations(certifi.where())
        self._options = {
            "timeout": urllib3.Timeout(connect=connect_seconds, read=read_seconds),
            "retries": False,
            "ssl_context": trusted,
        }
        self._direct = urllib3.PoolManager(**self._options)  # type: ignore[arg-type]
        self._proxies: dict[str, urllib3.ProxyManager] = {}

    def request(
        self, method: str, url: str, body: bytes | None = None, headers: Mapping[str, str] | None = None
    ) -> Answer:
        try:
            response = self._manager(url).request(
                method,
                url,
                body=body,
                headers={"User-Agent": AGENT, **(headers or {})},
                redirect=False,  # secrets go where they were meant to, and nowhere else
                preload_content=False,
            )
            try:
                read = response.read(BODY_BYTES_MAX, decode_content=True)
            finally:
                response.release_conn()
        except (NewConnectionError, ConnectTimeoutError, NameResolutionError) as error:
            raise NotReached(_said(error), may_have_it=False) from None
        except (SSLError, ProxyError, LocationParseError) as error:
            raise NotReached(_said(error), may_have_it=False) from None
        except HTTPError as error:
            raise NotReached(_said(error), may_have_it=True) from None
        return Answer(
            response.status, {name.lower(): value for name, value in response.headers.items()}, read
        )

    def _manager(self, url: str) -> urllib3.PoolManager:
        parts = urlsplit(url)
        proxy = getproxies().get(parts.scheme)
        if not proxy or not parts.hostname or proxy_bypass(parts.hostname):
            return self._direct
        if proxy not in self._proxies:
            self._proxies[proxy] = urllib3.ProxyManager(proxy, **self._options)  # type: ignore[arg-type]
        return self._proxies[proxy]


def _said(error: HTTPError) -> str:
    """In words without the address, which may be a secret."""
    match error:
        case NameResolutionError():
            return "no such host"
        case NewConnectionError():
            return "connection refused or not possible"
        case ConnectTimeoutError():
            return "no connection in time"
        case SSLError():
            return f"TLS: {error}"
        case ProxyError():
            return "the proxy does not let us through"
        case urllib3.exceptions.TimeoutError():
            return "no answer in time"
        case _:
            return f"the connection broke: {type(error).__name__}"


def post(
    http: Http, url: str, body: bytes, headers: Mapping[str, str], now: float, kind: str = "application/json"
) -> tuple[Outcome, Answer | None]:
    """One POST, and what its answer means for a notice."""
    try:
        answer = http.request("POST", url, body, {"Content-Type": kind, **headers})
    except NotReached as error:
        return Later(error.reason, may_have_it=error.may_have_it), None
    return judge(answer, now), answer


def judge(answer: Answer, now: float) -> Outcome:
    """2xx is taken; 5xx, 429 and their like may pass; anything else is final."""
    said = f"{answer.status} {' '.join(answer.text.split())}".strip()
    if 200 <= answer.status < 300:
        return Delivered(said)
    if answer.status >= 500 or answer.status in TRANSIENT:
        # A gateway answers 5xx also for a receiver that did take it.
        return Later(said, retry_after(answer, now), may_have_it=answer.status >= 500)
    return Refused(said)


def retry_after(answer: Answer, now: float) -> float | None:
    """The seconds that the receiver asks to wait for, as a number or a date; None where it does not."""
    text = answer.headers.get("retry-after", "").strip()
    if not text:
        return None
    try:
        seconds = float(text) if text.isdecimal() else _date(text).timestamp() - now
    except ValueError:
        return None
    return min(max(seconds, 0.0), RETRY_AFTER_MAX_SECONDS)


def _date(text: str) -> datetime:
    return parsedate_to_datetime(text)


def shortened(text: str) -> str:
    """A line of at most ANSWER_MAX characters."""
    line = " ".join(text.split())
    return line if len(line) <= ANSWER_MAX else line[: ANSWER_MAX - 1] + "…"
