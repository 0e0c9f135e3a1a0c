"""Detectors and episodes for tests of the lab: simple enough to know what they must say."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, replace

from pipeline.core.detect.minutes import Minute, Scope

LONGEST = -1


@dataclass(frozen=True)
class Told:
    """An episode with the fields of the detector's that the lab looks at."""

    id: str
    rule: str
    scope: Scope
    state: str
    started_at: int
    detected_at: int
    resolved_at: int | None = None
    cause: Scope | None = None
    verdict: str = "shop"
    observed: float = 0.0
    expected: float = 1.0
    smallest: float = 0.3


class Halved:
    """Pages when a whole step goes on at under half its rate so far, by the last ten settled minutes."""

    def __init__(self) -> None:
        self.before: dict[Scope, list[int]] = defaultdict(lambda: [0, 0])
        self.recent: dict[Scope, list[tuple[int, int]]] = defaultdict(list)
        self.firing: dict[Scope, Told] = {}

    def apply(self, minute: Minute) -> list[Told]:
        told = []
        for row, scope in enumerate(minute.scopes):
            if scope.segment or scope.stage == "order":
                continue
            recent = self.recent[scope]
            recent.append((int(minute.settled[row, 3]), int(minute.went_on[row, 3])))
            if len(recent) > 10:
                settled, went_on = recent.pop(0)
                self.before[scope][0] += settled
                self.before[scope][1] += went_on
            one = self._judged(minute.at, scope)
            if one is not None:
                told.append(one)
        return told

    def _judged(self, at: int, scope: Scope) -> Told | None:
        settled, went_on = self.before[scope]
        now_settled, now_went_on = map(sum, zip(*self.recent[scope], strict=True))
        if settled < 5_000 or now_settled < 50:
            return None
        is_low = now_went_on / now_settled < 0.5 * went_on / settled
        firing = self.firing.get(scope)
        if is_low and firing is None:
            name = f"{scope.stage}-{at}"
            self.firing[scope] = Told(name, "drop", scope, "firing", at - 10, at)
            return self.firing[scope]
        if not is_low and firing is not None:
            del self.firing[scope]
            return replace(firing, state="resolved", resolved_at=at)
        return None


class Silent:
    """Never says a word."""

    def apply(self, minute: Minute) -> list[Told]:
        return []
