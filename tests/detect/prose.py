"""Paragraphs of reports: filled to one width, whatever figures are in them."""

from __future__ import annotations

import re
import textwrap
from collections.abc import Sequence
from typing import Final

WIDTH: Final = 140


def flowing(text: str) -> str:
    """Markdown with its paragraphs and list items filled; headings and tables stay."""
    blocks = re.split(r"\n{2,}", text.strip())
    return "\n\n".join(_block(block) for block in blocks) + "\n"


def _block(block: str) -> str:
    if block.startswith(("#", "|")):
        return block
    items = re.split(r"\n(?=- )", block) if block.startswith("- ") else [block]
    indent = "  " if block.startswith("- ") else ""
    return "\n".join(_filled(item, indent) for item in items)


def _filled(text: str, indent: str) -> str:
    words = re.sub(r"\s+", " ", text)
    return textwrap.fill(
        words, WIDTH, subsequent_indent=indent, break_long_words=False, break_on_hyphens=False
    )


def table(head: Sequence[str], rows: Sequence[Sequence[str]], left: int = 1) -> str:
    """A table whose columns after the first ones are numbers."""
    lines = [head, ["---"] * left + ["--:"] * (len(head) - left), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)
