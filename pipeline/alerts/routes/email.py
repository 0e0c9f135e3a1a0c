"""E-mail: an episode is one thread, by Message-ID, References and a subject that stays the same.

A mail that is sent again has the Message-ID that it had, by which most servers and readers drop doubles.
"""

from __future__ import annotations

import smtplib
import ssl
from datetime import UTC, datetime
from email.message import EmailMessage
from email.utils import format_datetime
from typing import Final

from pipeline.alerts.notice import Delivered, Later, Notice, Outcome, Refused
from pipeline.alerts.secrets import Secrets
from schemas.alert_targets import Email as Settings

SECONDS_MAX: Final = 15.0
"""For each step of the conversation."""


class EmailRoute:
    """Hands mails to a server for submission, one connection each: there are few."""

    resend_seconds: float | None = None

    def __init__(self, settings: Settings, secrets: Secrets, trusted: ssl.SSLContext | None = None) -> None:
        self._settings = settings
        self._secrets = secrets
        self._trusted = trusted or ssl.create_default_context()

    def send(self, notice: Notice) -> Outcome:
        has_begun = False
        try:
            server = self._connected()
            try:
                self._log_in(server)
                has_begun = True
                refused = server.send_message(mail(notice, self._settings.sender, self._settings.to))
            finally:
                server.close()
        except smtplib.SMTPRecipientsRefused as error:
            return _of_recipients(error.recipients, len(self._settings.to))
        except smtplib.SMTPNotSupportedError as error:
            return Refused(f"{error}: see `security`")
        except smtplib.SMTPResponseException as error:
            said = f"{error.smtp_code} {_text(error.smtp_error)}"
            is_final = 500 <= error.smtp_code < 600
            return Refused(said) if is_final else Later(said, may_have_it=False)
        except ssl.SSLError as error:
            return Later(f"TLS: {error.reason or error}", may_have_it=False)
        except (smtplib.SMTPException, OSError) as error:
            return Later(f"{type(error).__name__}: {error}", may_have_it=has_begun)
        return _of_recipients(refused, len(self._settings.to))

    def close(self) -> None:
        """There is nothing to let go of."""

    def _connected(self) -> smtplib.SMTP:
        settings = self._settings
        if settings.security == "tls":
            return smtplib.SMTP_SSL(settings.host, settings.port, timeout=SECONDS_MAX, context=self._trusted)
        server = smtplib.SMTP(settings.host, settings.port, timeout=SECONDS_MAX)
        if settings.security == "starttls":
            try:
                server.starttls(context=self._trusted)  # raises where the server does not offer it
            except BaseException:
                server.close()
                raise
        return server

    def _log_in(self, server: smtplib.SMTP) -> None:
        if self._settings.username is not None and self._settings.password is not None:
            server.login(self._settings.username, self._secrets.reveal(self._settings.password))


def mail(notice: Notice, sender: str, to: tuple[str, ...]) -> EmailMessage:
    """The mail of a notice: the first of an episode opens the thread that all others name."""
    domain = sender.rpartition("@")[2]
    first = f"<{notice.thread}@{domain}>"
    out = EmailMessage()
    out["From"], out["To"] = sender, ", ".join(to)
    out["Date"] = format_datetime(datetime.fromtimestamp(notice.at, UTC))
    if notice.earlier:
        out["Message-ID"] = f"<{notice.key}@{domain}>"
        out["In-Reply-To"] = out["References"] = first
        out["Subject"] = f"Re: {notice.message.subject}"
    else:
        out["Message-ID"] = first
        out["Subject"] = notice.message.subject
    out["Auto-Submitted"] = "auto-generated"  # no holiday answers
    out["X-Pathline-Key"] = notice.key
    out.set_content(notice.message.text + "\n")
    return out


def _of_recipients(refused: dict[str, tuple[int, bytes]], asked: int) -> Outcome:
    """Whoever was refused for now gets it later; the others have it twice then, with the same Message-ID."""
    said = "; ".join(f"{who}: {code} {_text(text)}" for who, (code, text) in sorted(refused.items()))
    if any(code < 500 for code, _ in refused.values()):
        return Later(said, may_have_it=len(refused) < asked)
    if len(refused) == asked:
        return Refused(said)
    return Delivered(f"accepted, but not for {said}" if refused else "accepted")


def _text(said: bytes | str) -> str:
    return said.decode("utf-8", "replace") if isinstance(said, bytes) else said
