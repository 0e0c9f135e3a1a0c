"""How an event enters a stage: the grammar of a stage's `when:`.

A condition, or a list of them of which any will do. Beside the fields of the event each may say what must
have happened in the journey before: `at_least: 3`, `after: STAGE`, `not_before: 10m`, `unless: STAGE`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from schemas.conditions import read_condition
from schemas.documents import Document, closest
from schemas.nodes import Node
from schemas.predicates import All, Predicate

AT_LEAST_MAX: Final = 255
NOT_BEFORE_MS_MAX: Final = 24 * 3_600_000
"""As long as a session can be, and with it a journey of `key: visitor`."""
SCOPES: Final = ("journey", "session")
"""What `per` may say. With `key: visitor` a journey lasts as long as its session: they are the same."""

LOOKING_BACK: Final = ("at_least", "per", "after", "not_before", "unless")
"""What a rule says beside the fields of the event."""
NEVER: Final = All(())
"""Stands where a condition is missing in a document that is refused anyway."""


@dataclass(frozen=True)
class Entry:
    """What lets an event enter a stage: a predicate on it, and what must have happened in the journey before.

    Ranks are those of stages, 0 for none. An event counts towards `at_least` where all the rest holds.
    """

    predicate: Predicate
    at_least: int = 1
    """The how-manyth such event it must be in the journey, at least."""
    after: int = 0
    """A stage that the journey has entered by an earlier event."""
    not_before_ms: int = 0
    """So long ago at least, counted from when it first entered that."""
    unless: int = 0
    """A stage that the journey has not entered."""

    @property
    def is_stateless(self) -> bool:
        """Whether the event alone tells."""
        return self.at_least == 1 and not self.after and not self.unless


def read_entries(
    document: Document, node: Node | None, what: str, ranks: Mapping[str, int]
) -> tuple[Entry, ...]:
    """The entries that `when` writes; `ranks` are those of all stages by name."""
    if node is None:
        return (Entry(NEVER),)
    if isinstance(node.value, tuple):
        items = document.expect_list(node, what) or ()
        return tuple(
            _entry(document, item, f"{what}, rule {number}", ranks) for number, item in enumerate(items, 1)
        )
    return (_entry(document, node, what, ranks),)


def _entry(document: Document, node: Node, what: str, ranks: Mapping[str, int]) -> Entry:
    asked = node.value if isinstance(node.value, dict) else {}
    own = {key: item for key, item in asked.items() if key in LOOKING_BACK}
    rest = {key: item for key, item in asked.items() if key not in LOOKING_BACK}
    predicate = read_condition(document, Node(node.line, rest) if own else node, what)
    entry = Entry(
        predicate or NEVER,
        document.expect_integer(own.get("at_least"), "at_least", 1, AT_LEAST_MAX) or 1,
        stage_rank(document, own.get("after"), "after", ranks),
        document.expect_duration_ms(own.get("not_before"), "not_before", NOT_BEFORE_MS_MAX) or 0,
        stage_rank(document, own.get("unless"), "unless", ranks),
    )
    _check(document, own, entry)
    return entry


def _check(document: Document, own: Mapping[str, Node], entry: Entry) -> None:
    """What single keys cannot tell."""
    if "per" in own:
        scope = document.expect_text(own["per"], "per")
        if scope is not None and scope not in SCOPES:
            document.problem(own["per"].line, f"per '{scope}' is not known", closest(scope, SCOPES))
        if "at_least" not in own:
            document.problem(own["per"].line, "'per' says what at_least counts in", "add at_least")
    if "not_before" in own and "after" not in own:
        document.problem(own["not_before"].line, "not_before counts from a stage", "name it: after: STAGE")
    if entry.after and entry.after == entry.unless:
        document.problem(own["unless"].line, "after and unless name the same stage: this can never hold")


def stage_rank(document: Document, node: Node | None, what: str, ranks: Mapping[str, int]) -> int:
    """The rank of the stage that the node names; 0, and a Problem, where there is none."""
    name = document.expect_text(node, what)
    if node is None or name is None:
        return 0
    if name not in ranks:
        names = [known for known in ranks if known]
        document.problem(node.line, f"{what}: there is no stage '{name}'", closest(name, names))
    return ranks.get(name, 0)
