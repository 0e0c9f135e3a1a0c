"""How the tables of a plan look."""

from __future__ import annotations

from collections.abc import Collection

from rich.table import Table


def plain_table(*headings: str, right: Collection[str] = ()) -> Table:
    """A table without lines; columns that are in `right` hold numbers."""
    table = Table(box=None, header_style="bold", pad_edge=False, padding=(0, 2, 0, 0))
    for heading in headings:
        table.add_column(heading, justify="right" if heading in right else "left", overflow="fold")
    return table


def printable(text: str) -> str:
    """What a producer sends may be anything: a terminal must not act on it."""
    return "".join(letter if letter.isprintable() else "\ufffd" for letter in text)
