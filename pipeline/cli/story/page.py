"""A story on the terminal: colours where there are some, else plain aligned text."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from rich.console import Console
from rich.text import Text

from pipeline.cli.story.asked import Row
from pipeline.cli.story.lines import FAINT, Line
from pipeline.cli.story.timeline import Story
from pipeline.cli.story.words import amount, clock, moment, plain

PRODUCTS_SHOWN_MAX: Final = 5
NAME_WIDTH_MAX: Final = 28


@dataclass(frozen=True)
class Part:
    """How much of a story is shown, and the id that was asked for: events that carry it are marked."""

    since: datetime | None
    until: datetime | None
    limit: int
    marked: str


def show(story: Story, part: Part, console: Console) -> None:
    """Prints it, and says where it was cut."""
    within = [line for line in story.lines if _is_within(line, part)]
    shown = _first(within, part.limit)
    widths = (
        max((len(clock(line.at)) for line in shown), default=0),
        min(NAME_WIDTH_MAX, max((len(line.event["event"]) for line in shown if line.event), default=0)),
    )
    before: Line | None = None
    session = 0
    for line in shown:
        if line.session and line.session != session:
            session = line.session
            _print(console, Text(f"\n{plain(story.headings[session - 1])}", "bold"))
            before = line
        is_same_day = before is not None and before.at.date() == line.at.date()
        when = clock(line.at) if is_same_day else moment(line.at)
        _line(line, f"  {when:{widths[0]}}  ", widths[1], part.marked, console)
        before = line
    if not shown:
        _print(console, Text("\n(no event in this time)", FAINT))
    if len(shown) < len(within):
        _hint(within, shown, console)
    _ends(story, console)


def _is_within(line: Line, part: Part) -> bool:
    return (part.since is None or line.at >= part.since) and (part.until is None or line.at <= part.until)


def _first(lines: Sequence[Line], limit: int) -> Sequence[Line]:
    events = 0
    for place, line in enumerate(lines):
        events += line.event is not None
        if events > limit:
            return lines[:place]
    return lines


def _line(line: Line, when: str, width: int, marked: str, console: Console) -> None:
    text = Text(when, FAINT)
    if line.event is None:
        effect = line.effects[0]
        _print(console, text.append(plain(effect.text), effect.style))
        return
    event, details = line.event, plain(_details(line.event))
    text.append(f"{plain(event['event']):{width if details else 0}}", FAINT if line.is_copy else "bold")
    if details:
        text.append(f"  {details}", FAINT if line.is_copy else "")
    if marked in (event["order_id"], event["cart_id"]):
        text.append("  <", "bold cyan")
    _print(console, text)
    for effect in line.effects:
        _print(console, Text(" " * len(when)).append(plain(effect.text), effect.style))


def _details(event: Row) -> str:
    """What the event is about: products, cart, order and value; else its page."""
    products = ", ".join(event["products"][:PRODUCTS_SHOWN_MAX])
    if len(event["products"]) > PRODUCTS_SHOWN_MAX:
        products += f" and {len(event['products']) - PRODUCTS_SHOWN_MAX} more"
    parts = [products] if products else []
    parts += [f"{name} {event[f'{name}_id']}" for name in ("cart", "order") if event[f"{name}_id"]]
    if event["value"]:
        parts.append(amount(event["value"], event["currency"]))
    return "  ".join(parts) or str(event["url"])


def _hint(within: Sequence[Line], shown: Sequence[Line], console: Console) -> None:
    rest = [line for line in within[len(shown) :] if line.event]
    text = f"\n{len(rest)} more events: --from {rest[0].at:%Y-%m-%dT%H:%M:%S}, or a higher --limit"
    _print(console, Text(text, "yellow"))


def _ends(story: Story, console: Console) -> None:
    if not story.ends:
        return
    width = max(len(about) for about, _ in story.ends)
    _print(console, Text("\nin the end", "bold"))
    for about, what in story.ends:
        _print(console, Text(f"  {about:{width}}  {what}"))


def _print(console: Console, text: Text) -> None:
    console.print(text, soft_wrap=True, highlight=False)
