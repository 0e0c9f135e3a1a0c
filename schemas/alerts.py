"""What is called an alert and who is told of it: a definition beside the journeys, its mistakes by line."""

from __future__ import annotations

import re
from dataclasses import dataclass
from decimal import Decimal
from typing import Final

from schemas.alert_routes import Route, read_routes
from schemas.conditions import read_money_e4
from schemas.documents import BadDefinition, Document, closest, read_definition, shipped_names
from schemas.nodes import Node
from schemas.secret_refs import SecretRef, expect_url

DROP: Final = "drop"
ABANDONMENT: Final = "abandonment"
RULES: Final = (DROP, "silence", ABANDONMENT)
"""What is looked for: that fewer go on, that fewer come; and drops also at kinds of objects, which are steps
like `cart (abandonment)` then. One that is detected next is added here.
"""
HOUR_MS: Final = 3_600_000
DAY_MS: Final = 24 * HOUR_MS
PAGES_MAX: Final = 1_000
IGNORED_MAX: Final = 1_000
LINK_PLACES: Final = ("alert_id", "journey", "stage")

_FOLDER: Final = "alerts"
_KEYS: Final = (
    "alerts", "budget", "history", "severity", "rules", "ignore", "routes", "heartbeat", "hold", "give_up",
    "update_every", "link", "runbook", "currency",
)  # fmt: skip


@dataclass(frozen=True)
class Ignored:
    """Alerts that nobody is told of: those with all that is named here; None is any."""

    journey: str | None
    stage: str | None
    segment: str | None


@dataclass(frozen=True)
class Heartbeat:
    """A sign of life: by a GET of `url`, or as the alert `Watchdog` of a route to an Alertmanager."""

    url: str | SecretRef | None
    route: str | None
    every_ms: int


@dataclass(frozen=True)
class Alerts:
    """A definition. Money is in 1/10,000 of the currency unit."""

    name: str
    false_pages_per_week: float = 1.0
    history_ms: int = DAY_MS
    warning_value_e4_per_hour: int = 100 * 10_000
    critical_value_e4_per_hour: int = 1_000 * 10_000
    rules: tuple[str, ...] = RULES
    ignore: tuple[Ignored, ...] = ()
    routes: tuple[Route, ...] = ()
    heartbeat: Heartbeat | None = None
    hold_ms: int = 15 * 60_000
    """So long an alert waits for a pipeline that is unwell to recover."""
    give_up_ms: int = DAY_MS
    """So long it is tried to tell somebody."""
    update_every_ms: int = 10 * 60_000
    """Between messages that only bring other figures."""
    link: str | None = None
    """Where more is to be seen; `{alert_id}`, `{journey}` and `{stage}` are put in."""
    runbook: str | None = None
    currency: str = ""


def load_alerts(name_or_path: str) -> Alerts:
    """The definition that comes with Pathline under a NAME, or stands in the file at a path. Raises
    BadDefinition with all that is wrong with it.
    """
    document, root = read_definition(name_or_path, _FOLDER, "definition of alerts")
    found = _alerts(document, root) if root else None
    if document.problems or found is None:
        raise BadDefinition(document.in_order)
    return found


def shipped_alerts() -> list[str]:
    """The names of the definitions that come with Pathline."""
    return shipped_names(_FOLDER)


def _alerts(document: Document, root: Node) -> Alerts | None:
    """The definition; None where the document has problems."""
    entries = document.expect_mapping(root, "a definition of alerts", _KEYS, ("alerts",))
    if entries is None:
        return None
    usual = Alerts("")
    warning, critical = _severity(document, entries.get("severity"), usual)
    routes = read_routes(document, entries.get("routes"))
    found = Alerts(
        name=document.expect_name(entries.get("alerts"), "the name of the definition") or "",
        false_pages_per_week=_budget(document, entries.get("budget"), usual),
        history_ms=document.expect_duration_ms(entries.get("history"), "history", 60 * DAY_MS)
        or usual.history_ms,
        warning_value_e4_per_hour=warning,
        critical_value_e4_per_hour=critical,
        rules=_rules(document, entries.get("rules")),
        ignore=_ignored(document, entries.get("ignore")),
        routes=routes,
        heartbeat=_heartbeat(document, entries.get("heartbeat"), routes),
        hold_ms=document.expect_duration_ms(entries.get("hold"), "hold", DAY_MS) or usual.hold_ms,
        give_up_ms=document.expect_duration_ms(entries.get("give_up"), "give_up", 14 * DAY_MS)
        or usual.give_up_ms,
        update_every_ms=document.expect_duration_ms(entries.get("update_every"), "update_every", DAY_MS)
        or usual.update_every_ms,
        link=_web(document, entries.get("link"), "link"),
        runbook=_web(document, entries.get("runbook"), "runbook"),
        currency=document.expect_text(entries.get("currency"), "currency") or "",
    )
    return None if document.problems else found


def _budget(document: Document, node: Node | None, usual: Alerts) -> float:
    key = "false_pages_per_week"
    entries = document.expect_mapping(node, "budget", (key,)) if node else None
    item = (entries or {}).get(key)
    if item is None:
        return usual.false_pages_per_week
    value = item.value
    if isinstance(value, bool) or not isinstance(value, int | Decimal):
        document.problem(item.line, f"{key} must be a number, not {item.kind}", "1 is one false page a week")
    elif not 0 < value <= PAGES_MAX:
        document.problem(item.line, f"{key} must be above 0 and at most {PAGES_MAX}, not {value}")
    else:
        return float(value)
    return usual.false_pages_per_week


def _severity(document: Document, node: Node | None, usual: Alerts) -> tuple[int, int]:
    """From how much money lost per hour an alert is a warning, and critical."""
    out = {"warning": usual.warning_value_e4_per_hour, "critical": usual.critical_value_e4_per_hour}
    entries = document.expect_mapping(node, "severity", tuple(out)) if node else None
    for name, item in (entries or {}).items():
        value_e4 = read_money_e4(document, item, f"{name} of severity")
        if value_e4 is not None and value_e4 < 0:
            document.problem(item.line, f"{name} of severity must not be negative")
        elif value_e4 is not None:
            out[name] = value_e4
    if node and out["warning"] > out["critical"]:
        document.problem(node.line, "severity: critical begins below warning", "money lost per hour, rising")
    return out["warning"], out["critical"]


def _rules(document: Document, node: Node | None) -> tuple[str, ...]:
    if node is None:
        return RULES
    found: list[str] = []
    for item in document.expect_list(node, "rules") or ():
        text = document.expect_text(item, "a rule")
        if text is not None and text not in RULES:
            document.problem(item.line, f"there is no rule '{text}'", closest(text, RULES))
        elif text is not None and text not in found:
            found.append(text)
    if ABANDONMENT in found and DROP not in found:
        document.problem(
            node.line,
            f"'{ABANDONMENT}' without '{DROP}' calls nobody",
            f"it is '{DROP}' at kinds of objects as well: ask for both",
        )
    return tuple(found)


def _ignored(document: Document, node: Node | None) -> tuple[Ignored, ...]:
    if node is None or node.value == ():
        return ()
    items = document.expect_list(node, "ignore") or ()
    if len(items) > IGNORED_MAX:
        document.problem(node.line, f"at most {IGNORED_MAX} things can be ignored")
    found = []
    for item in items:
        entries = document.expect_mapping(item, "what is ignored", ("journey", "stage", "segment"))
        if entries == {}:
            document.problem(item.line, "this ignores everything", "name a journey, stage or segment")
        named = {key: document.expect_text(one, key) for key, one in (entries or {}).items()}
        if entries and (segment := named.get("segment")) and "=" not in segment:
            hint = "a segment is dimension=value, such as device=mobile"
            document.problem(entries["segment"].line, f"'{segment}' is no segment", hint)
        found.append(Ignored(named.get("journey"), named.get("stage"), named.get("segment")))
    return tuple(found)


def _heartbeat(document: Document, node: Node | None, routes: tuple[Route, ...]) -> Heartbeat | None:
    entries = document.expect_mapping(node, "heartbeat", ("url", "route", "every")) if node else None
    if entries is None or node is None:
        return None
    url = expect_url(document, entries.get("url"), "url of the heartbeat")
    name = document.expect_name(entries.get("route"), "route of the heartbeat")
    every_ms = document.expect_duration_ms(entries.get("every"), "every", HOUR_MS) or 60_000
    if ("url" in entries) == ("route" in entries):
        document.problem(
            node.line, "a heartbeat has either a url or a route", "url: https://..., or route: NAME"
        )
    elif name is not None:
        of_type = {route.name: route.type for route in routes}
        if name not in of_type:
            document.problem(
                entries["route"].line,
                f"there is no route '{name}'",
                closest(name, of_type) if of_type else "",
            )
        elif of_type[name] != "alertmanager":
            hint = "only an Alertmanager notices that a sign of life is missing: give others a url"
            document.problem(entries["route"].line, f"the route '{name}' is of type {of_type[name]}", hint)
    return Heartbeat(url, name, every_ms)


def _web(document: Document, node: Node | None, what: str) -> str | None:
    """A URL that people are shown, so it cannot be a secret."""
    text = expect_url(document, node, what)
    if node is None or text is None:
        return None
    if isinstance(text, SecretRef):
        document.problem(node.line, f"{what} is shown in every message: it cannot be a secret")
        return None
    for place in re.findall(r"\{([^{}]*)\}", text):
        if place not in LINK_PLACES:
            document.problem(
                node.line, f"{what}: nothing is put in for '{{{place}}}'", closest(place, LINK_PLACES)
            )
    return text
