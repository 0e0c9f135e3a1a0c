"""Objects: what shows intent and has a deadline (a visit's browsing, a cart, a checkout, a payment).

The grammar of a journey's `objects:`. Deadlines may differ from site to site.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from schemas.conditions import read_condition
from schemas.documents import Document
from schemas.entries import LOOKING_BACK, NEVER, stage_rank
from schemas.nodes import Node
from schemas.predicates import Predicate

KINDS: Final = ("browse", "cart", "checkout", "payment")
"""In this order: only the highest is open at a time."""
BROWSE, CART, CHECKOUT, PAYMENT = range(1, 5)
ABANDON_AFTER_MS_MAX: Final = 7 * 86_400_000
"""An open object is kept in memory until then."""
RECOVERY_WINDOW_MS_MAX: Final = 60 * 86_400_000
"""An abandoned one, in fewer bytes, until then."""
RECOVERY_WINDOW_MS: Final = 7 * 86_400_000
SITES_MAX: Final = 255
"""With deadlines of their own: written by hand, and every shard holds the table. Row 0 is for all others."""

_DEADLINES: Final = ("abandon_after", "at_risk_after")


@dataclass(frozen=True)
class Timing:
    """How long an object may go without activity; None: never (browsing ends with its session)."""

    abandon_after_ms: int | None = None
    at_risk_after_ms: int | None = None


@dataclass(frozen=True)
class Object:
    """A kind of object: what opens it and counts as activity on it, and the stage it stands for."""

    kind: int
    rank: int
    when: Predicate
    removes: Predicate | None
    """Takes products and their value out of it."""
    timing: Timing


@dataclass(frozen=True)
class Objects:
    """The objects of a journey; `by_site[site][kind]` are deadlines that differ there."""

    kinds: tuple[Object, ...]
    withdrawn: Predicate | None
    recovery_window_ms: int
    by_site: dict[str, dict[int, Timing]]

    @property
    def predicates(self) -> tuple[Predicate, ...]:
        """All conditions."""
        asked = [one.when for one in self.kinds] + [one.removes for one in self.kinds if one.removes]
        return (*asked, *([self.withdrawn] if self.withdrawn else []))

    def timing(self, kind: int, site: str) -> Timing:
        """The deadlines of a kind on a site."""
        common = next(one.timing for one in self.kinds if one.kind == kind)
        return self.by_site.get(site, {}).get(kind, common)


def read_objects(
    document: Document, node: Node | None, ranks: Mapping[str, int], conversion: int
) -> Objects | None:
    """The objects that `node` writes; `ranks` are those of all stages by name, `conversion` that of
    the goal.
    """
    if node is None:
        return None
    if not isinstance(node.value, dict):
        document.problem(
            node.line, f"objects must be a mapping, not {node.kind}", "KIND: {stage: .., when: ..}"
        )
        return None
    entries = document.expect_mapping(node, "objects", (*KINDS, "withdrawn", "recovery_window", "sites"))
    if entries is None:
        return None
    kinds = tuple(
        _object(document, kind, entries[name], ranks)
        for kind, name in enumerate(KINDS, start=1)
        if name in entries
    )
    _check_stages(document, entries, kinds, conversion)
    withdrawn = entries.get("withdrawn")
    if not kinds:
        document.problem(node.line, "objects has no object", f"one of {', '.join(KINDS)}")
    elif withdrawn and kinds[-1].kind == BROWSE:
        document.problem(
            withdrawn.line,
            "nothing here can be withdrawn",
            "a cart, checkout or payment can: browsing ends with its session",
        )
    window_ms = document.expect_duration_ms(
        entries.get("recovery_window"), "recovery_window", RECOVERY_WINDOW_MS_MAX
    )
    return Objects(
        kinds,
        _condition(document, withdrawn, "'withdrawn'") if withdrawn else None,
        window_ms or RECOVERY_WINDOW_MS,
        _sites(document, entries.get("sites"), {one.kind: one.timing for one in kinds}),
    )


def _check_stages(
    document: Document, entries: Mapping[str, Node], kinds: Sequence[Object], conversion: int
) -> None:
    """What comes later in the life of an object stands for a stage that is no earlier."""
    before: Object | None = None
    for one in kinds:
        if not one.rank:
            continue  # told already
        name = KINDS[one.kind - 1]
        keys = entries[name].value
        assert isinstance(keys, dict)
        stage = keys["stage"]
        if conversion and one.rank >= conversion:
            where = "is the conversion" if one.rank == conversion else "comes after the conversion"
            document.problem(
                stage.line,
                f"the stage of {name}: '{stage.value}' {where}",
                "an object stands for what comes before it",
            )
        elif before and one.rank < before.rank:
            document.problem(
                stage.line,
                f"the stage of {name} comes before that of {KINDS[before.kind - 1]}",
                f"in this order: {', '.join(KINDS)}",
            )
        else:
            before = one


def _object(document: Document, kind: int, node: Node, ranks: Mapping[str, int]) -> Object:
    name = KINDS[kind - 1]
    node = _without_deadlines(document, node) if kind == BROWSE else node
    known = ("stage", "when", *(("removes",) if kind == CART else ()), *(_DEADLINES if kind > BROWSE else ()))
    needed = ("stage", "when", *(("abandon_after",) if kind > BROWSE else ()))
    entries = document.expect_mapping(node, f"the object {name}", known, needed) or {}
    conditions = {
        key: _condition(document, entries[key], f"'{key}' of the object {name}")
        for key in ("when", "removes")
        if key in entries
    }
    return Object(
        kind,
        stage_rank(document, entries.get("stage"), f"the stage of {name}", ranks),
        conditions.get("when") or NEVER,
        conditions.get("removes"),
        _timing(document, entries, Timing()),
    )


def _condition(document: Document, node: Node, what: str) -> Predicate | None:
    """A condition on one event: unlike the rules of stages it cannot look back."""
    keys = node.value if isinstance(node.value, dict) else {}
    back = [key for key in LOOKING_BACK if key in keys]
    if not back:
        return read_condition(document, node, what)
    for key in back:
        document.problem(
            keys[key].line, f"{what} looks back: '{key}'", "conditions of objects see one event: leave it out"
        )
    return None


def _without_deadlines(document: Document, node: Node) -> Node:
    """Browsing without the deadlines that it cannot have."""
    if not isinstance(node.value, dict):
        return node
    for key in _DEADLINES:
        if key in node.value:
            document.problem(
                node.value[key].line, f"the object browse has no {key}", "browsing ends with its session"
            )
    return Node(node.line, {key: item for key, item in node.value.items() if key not in _DEADLINES})


def _timing(document: Document, entries: Mapping[str, Node], common: Timing) -> Timing:
    """Deadlines, those of `common` where there are none."""
    own = {
        key: document.expect_duration_ms(entries[key], key, ABANDON_AFTER_MS_MAX)
        for key in _DEADLINES
        if key in entries
    }
    timing = Timing(
        own.get("abandon_after") or common.abandon_after_ms,
        own.get("at_risk_after") or common.at_risk_after_ms,
    )
    abandon_ms, risk_ms = timing.abandon_after_ms, timing.at_risk_after_ms
    if own and all(own.values()) and abandon_ms and risk_ms and risk_ms >= abandon_ms:
        line = max(entries[key].line for key in own)
        document.problem(
            line, "at_risk_after is not before abandon_after", "what is abandoned is not at risk"
        )
    return timing


def _sites(
    document: Document, node: Node | None, common: Mapping[int, Timing]
) -> dict[str, dict[int, Timing]]:
    """Deadlines by site and kind."""
    if node is None:
        return {}
    if not isinstance(node.value, dict):
        document.problem(node.line, f"sites must be a mapping, not {node.kind}", "SITE: {cart: {...}}")
        return {}
    if len(node.value) > SITES_MAX:
        document.problem(
            node.line,
            f"{len(node.value)} sites, and at most {SITES_MAX} are possible",
            "name those that differ from most",
        )
    timed = [KINDS[kind - 1] for kind in common if kind > BROWSE]
    if not timed:
        document.problem(node.line, "no object has a deadline that a site could change", "leave sites out")
        return {}
    if not node.value:
        document.problem(node.line, "sites is empty", "leave it out")
    sites: dict[str, dict[int, Timing]] = {}
    for site, item in node.value.items():
        entries = document.expect_mapping(item, f"the site {site}", timed) or {}
        if item.value == {}:
            document.problem(item.line, f"the site {site} changes nothing", "leave it out")
        sites[site] = {}
        for name, own in entries.items():
            kind = KINDS.index(name) + 1
            keys = document.expect_mapping(own, f"{name} of {site}", _DEADLINES) or {}
            if own.value == {}:
                document.problem(own.line, f"{name} of {site} changes nothing", "leave it out")
            sites[site][kind] = _timing(document, keys, common[kind])
    return sites
