"""Secrets: fetched when they are needed, so a new one counts at once, and masked wherever they show."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from threading import Lock
from typing import Final
from urllib.parse import quote

from schemas.secret_refs import SecretRef
from sinks.base import MASK

SECRET_MIN: Final = 4
"""Masking what is shorter would black out half of every text; as a secret it is none."""


class SecretMissing(Exception):  # noqa: N818 - the word that users read
    """A secret is not where the definition says: shown as message and hint, without a traceback."""

    def __init__(self, message: str, hint: str) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint

    def __str__(self) -> str:
        return f"{self.message} ({self.hint})"


class Secrets:
    """Knows which secrets were ever handed out, to keep them out of texts. Its own repr has none."""

    def __init__(self, environment: Mapping[str, str], read: Callable[[Path], str] | None = None) -> None:
        self._environment = environment
        self._read = read or (lambda path: path.read_text("utf-8"))
        self._known: set[str] = set()
        self._lock = Lock()

    def __repr__(self) -> str:
        return "Secrets(***)"

    def reveal(self, what: str | SecretRef) -> str:
        """A text as it is, or the secret at a place. Raises SecretMissing."""
        if isinstance(what, str):
            return what
        value = self._at(what)
        if not value:
            raise SecretMissing(f"{what} is empty", "a secret cannot be")
        if len(value) < SECRET_MIN:
            raise SecretMissing(f"{what} is too short for a secret", f"{SECRET_MIN} characters at least")
        return self.keep(value)

    def keep(self, value: str) -> str:
        """The value, which is masked from now on: for what is made of a secret."""
        with self._lock:
            self._known.add(value)
        return value

    def mask(self, text: str) -> str:
        """The text without any secret that was handed out, as it is or percent-encoded."""
        with self._lock:
            known = sorted(self._known, key=len, reverse=True)
        for secret in known:
            for form in {secret, quote(secret, safe=""), quote(secret)}:
                text = text.replace(form, MASK)
        return text

    def _at(self, ref: SecretRef) -> str:
        if ref.kind == "environment":
            if ref.place not in self._environment:
                raise SecretMissing(
                    f"{ref} is not set", f"set {ref.place} in the environment of this process"
                )
            return self._environment[ref.place].strip()
        try:
            return self._read(Path(ref.place)).strip()
        except (OSError, UnicodeDecodeError) as error:
            reason = error.strerror if isinstance(error, OSError) else "it is no text"
            raise SecretMissing(f"{ref}: {reason}", "name a file that can be read") from None
