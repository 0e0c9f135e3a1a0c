"""A web hook: JSON, signed, with a key by which a receiver knows what it has.

`Pathline-Signature: t=UNIX,v1=HEX` is HMAC-SHA256 of "UNIX." and the body, by the shared secret. The time is
signed as well, so a receiver can refuse what somebody recorded and sends again later.
"""

from __future__ import annotations

import hashlib
import hmac
import json

from pipeline.alerts.http import Http, post
from pipeline.alerts.notice import Notice, Outcome
from pipeline.alerts.secrets import Secrets
from schemas.alert_targets import Webhook as Settings


def sign(secret: str, at: float, body: bytes) -> str:
    """The header `Pathline-Signature`."""
    stamp = str(int(at))
    code = hmac.new(secret.encode(), stamp.encode() + b"." + body, hashlib.sha256).hexdigest()
    return f"t={stamp},v1={code}"


class WebhookRoute:
    """Posts what `Message.data` says, with the kind of the notice and the text for people."""

    resend_seconds: float | None = None

    def __init__(self, settings: Settings, http: Http, secrets: Secrets) -> None:
        self._settings = settings
        self._http = http
        self._secrets = secrets

    def send(self, notice: Notice) -> Outcome:
        body = json.dumps(
            {**notice.message.data, "kind": notice.kind, "key": notice.key, "text": notice.message.text}
        ).encode()
        headers = {name: self._secrets.reveal(value) for name, value in self._settings.headers.items()}
        headers["Idempotency-Key"] = notice.key
        headers["Pathline-Signature"] = sign(self._secrets.reveal(self._settings.secret), notice.at, body)
        outcome, _ = post(self._http, self._secrets.reveal(self._settings.url), body, headers, notice.at)
        return outcome

    def close(self) -> None:
        """There is nothing to let go of."""
