"""What all reports of load have in common: where, what, how it was asked, and the verdict."""

from __future__ import annotations

import shlex
import sys
import textwrap
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from tests.benchmarks.__main__ import commit, machine

HERE: Final = Path(__file__).parent


@dataclass(frozen=True)
class Asked:
    """One thing that was asked for, what was found, and whether that is it."""

    what: str
    found: str
    holds: bool


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A table in which all columns but the first are numbers."""
    lines = [head, ["---", *["--:"] * (len(head) - 1)], *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def page(title: str, module: str, asked: Sequence[Asked], *parts: str) -> str:
    """The report: its verdict first."""
    words = shlex.join(sys.argv[1:])
    command = f"python -m {module}{' ' + words if words else ''}"
    return (
        "\n\n".join(
            [
                f"# {title}",
                f"{machine()}; commit {commit()}; `{command}`.",
                table(
                    ["asked", "found", "verdict"],
                    [[one.what, one.found, "yes" if one.holds else "**no**"] for one in asked],
                ),
                *parts,
            ]
        ).rstrip()
        + "\n"
    )


def conclude(path: Path, text: str, asked: Sequence[Asked]) -> int:
    """Writes and shows the report; the exit code."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    print(text)
    return 0 if asked and all(one.holds for one in asked) else 1


def prose(*sentences: str) -> str:
    """A paragraph."""
    return textwrap.fill(" ".join(sentences), 140, break_long_words=False, break_on_hyphens=False)


def megabytes(size: float) -> str:
    return f"{size / 1e6:,.0f} MB"
