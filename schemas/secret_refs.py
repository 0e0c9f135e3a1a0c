"""Where a secret is, never what it is: definitions name an environment variable or a file.

A file of definitions is committed, mailed and shown. So a secret that stands in one is a mistake, and the
message about it must not repeat it.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, Literal
from urllib.parse import parse_qsl, urlsplit

from schemas.documents import Document
from schemas.nodes import Node

WHERE_HINT: Final = "put it in the environment and write ${NAME}, or in a file and write file:/path"

_ENVIRONMENT: Final = re.compile(r"\$\{([A-Za-z_][A-Za-z0-9_]*)\}")
_FILE: Final = re.compile(r"file:(/[^\n]+)")
_SECRET_NAME: Final = re.compile(
    r"pass(word|phrase|wd)|secret|token|api[-_]?key|routing[-_]?key|auth|cookie|signature|\bsig\b|\bkey\b",
    re.IGNORECASE,
)


@dataclass(frozen=True)
class SecretRef:
    """A secret by its place. Safe to show."""

    kind: Literal["environment", "file"]
    place: str

    def __str__(self) -> str:
        return f"${{{self.place}}}" if self.kind == "environment" else f"file:{self.place}"


def parse_secret_ref(text: str) -> SecretRef | None:
    """`${NAME}` or `file:/path`; None for any other text."""
    if match := _ENVIRONMENT.fullmatch(text):
        return SecretRef("environment", match[1])
    if match := _FILE.fullmatch(text):
        return SecretRef("file", match[1])
    return None


def sounds_secret(name: str) -> bool:
    """Whether what goes by this name is likely to be a secret: Authorization, X-Api-Key, token, ..."""
    return _SECRET_NAME.search(name) is not None


def expect_secret(document: Document, node: Node | None, what: str) -> SecretRef | None:
    """A place of a secret. Anything else is taken for the secret itself, and not repeated."""
    if node is None:
        return None
    found = parse_secret_ref(node.value) if isinstance(node.value, str) else None
    if found is None and node.value in (None, ""):
        document.problem(node.line, f"{what} is empty", WHERE_HINT)
    elif found is None:
        document.problem(node.line, f"{what} is a secret, and must not stand in this file", WHERE_HINT)
    return found


def expect_url(document: Document, node: Node | None, what: str) -> str | SecretRef | None:
    """An http(s) URL without secrets in it, or the place of one that is a secret as a whole."""
    text = document.expect_text(node, what)
    if node is None or text is None:
        return None
    if ref := parse_secret_ref(text):
        return ref
    try:
        parts = urlsplit(text)
        _ = parts.port
    except ValueError:
        document.problem(node.line, f"{what} is no URL", "such as https://host/path")
        return None
    if "@" in parts.netloc or any(sounds_secret(name) for name, _ in parse_qsl(parts.query)):
        document.problem(node.line, f"{what} has a secret in it, and must not stand in this file", WHERE_HINT)
    elif parts.scheme not in ("http", "https") or not parts.hostname:
        document.problem(
            node.line, f"{what} is no URL", "such as https://host/path, or ${NAME} for a secret one"
        )
    else:
        return text
    return None


def expect_texts_or_secrets(
    document: Document, node: Node | None, what: str
) -> Mapping[str, str | SecretRef]:
    """A mapping of texts; one whose name sounds secret must be the place of a secret."""
    if node is None:
        return {}
    if not isinstance(node.value, dict):
        document.problem(node.line, f"{what} must be a mapping, not {node.kind}")
        return {}
    out: dict[str, str | SecretRef] = {}
    for name, item in node.value.items():
        ref = parse_secret_ref(item.value) if isinstance(item.value, str) else None
        found = ref or (
            expect_secret(document, item, f"{what}: {name}")
            if sounds_secret(name)
            else document.expect_text(item, f"{what}: {name}")
        )
        if found is not None:
            out[name] = found
    return out
