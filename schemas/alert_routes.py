"""Where alerts go: the grammar of `routes:` in a definition of alerts."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final
from zoneinfo import ZoneInfo

from schemas.alert_targets import READ, Target, one_of
from schemas.documents import Document
from schemas.nodes import Node

SEVERITIES: Final = ("info", "warning", "critical")
"""In rising order."""
VERDICTS: Final = ("shop", "tracking", "unsure")
ROUTES_MAX: Final = 50
"""Each has a thread of its own while something is sent."""
_CLOCK: Final = re.compile(r"([01]\d|2[0-3]):([0-5]\d)")


@dataclass(frozen=True)
class QuietHours:
    """Minutes of the local day between which only critical alerts pass; `until` may be on the next day."""

    since_minute: int
    until_minute: int
    timezone: str


@dataclass(frozen=True)
class Route:
    """To whom, and what of all alerts: those of severity `least` and above with one of the `verdicts`."""

    name: str
    type: str
    target: Target
    least: str
    verdicts: tuple[str, ...]
    quiet: QuietHours | None


_COMMON: Final = ("name", "type", "from", "verdicts", "quiet_hours")


def read_routes(document: Document, node: Node | None) -> tuple[Route, ...]:
    """The routes; those that have problems are left out."""
    if node is None or node.value == ():
        return ()
    items = document.expect_list(node, "routes") or ()
    if len(items) > ROUTES_MAX:
        document.problem(node.line, f"{len(items)} routes, and at most {ROUTES_MAX} are possible")
    routes: list[Route] = []
    first: dict[str, int] = {}
    for item in items:
        route = _route(document, item)
        if route is None:
            continue
        if route.name in first:
            document.problem(
                item.line,
                f"the route '{route.name}' is here twice",
                f"the first is on line {first[route.name]}; what was delivered is kept by the name",
            )
        first.setdefault(route.name, item.line)
        routes.append(route)
    return tuple(routes)


def _route(document: Document, node: Node) -> Route | None:
    if not isinstance(node.value, dict):
        document.problem(node.line, f"a route must be a mapping, not {node.kind}")
        return None
    kind = one_of(document, node.value.get("type"), "type of a route", tuple(READ))
    if "type" not in node.value:
        document.problem(node.line, "a route lacks 'type'", f"one of {', '.join(READ)}")
    if kind is None:
        return None
    own, required, read = READ[kind]
    entries = document.expect_mapping(node, f"a route of type {kind}", (*_COMMON, *own), ("name", *required))
    assert entries is not None
    name = document.expect_name(entries.get("name"), "the route's name")
    least = one_of(document, entries.get("from"), "from", SEVERITIES)
    verdicts = _verdicts(document, entries.get("verdicts"))
    quiet = _quiet(document, entries.get("quiet_hours"))
    target = read(document, entries, node.line)
    if name is None or target is None:
        return None
    return Route(name, kind, target, least or "warning", verdicts, quiet)


def _verdicts(document: Document, node: Node | None) -> tuple[str, ...]:
    if node is None:
        return VERDICTS
    items = document.expect_list(node, "verdicts") or ()
    found = [one_of(document, item, "verdicts", VERDICTS) for item in items]
    return tuple(verdict for verdict in found if verdict)


def _quiet(document: Document, node: Node | None) -> QuietHours | None:
    keys = ("from", "to", "timezone")
    entries = document.expect_mapping(node, "quiet_hours", keys, keys) if node else None
    if not entries or node is None:
        return None
    since = _clock(document, entries.get("from"), "from of quiet_hours")
    until = _clock(document, entries.get("to"), "to of quiet_hours")
    zone = document.expect_text(entries.get("timezone"), "timezone of quiet_hours")
    if zone is not None and not _is_zone(zone):
        document.problem(
            entries["timezone"].line, f"there is no timezone '{zone}'", "such as Europe/Berlin or UTC"
        )
        return None
    if since is None or until is None or zone is None:
        return None
    if since == until:
        document.problem(node.line, "quiet_hours that end when they begin are none", "leave them out")
        return None
    return QuietHours(since, until, zone)


def _clock(document: Document, node: Node | None, what: str) -> int | None:
    text = document.expect_text(node, what)
    if node is None or text is None:
        return None
    if match := _CLOCK.fullmatch(text):
        return int(match[1]) * 60 + int(match[2])
    document.problem(node.line, f"{what}: '{text}' is no time of day", 'such as "22:00"')
    return None


def _is_zone(name: str) -> bool:
    try:
        ZoneInfo(name)
    except (KeyError, ValueError, OSError):  # ZoneInfoNotFoundError is a KeyError
        return False
    return True
