"""The smallest scope that explains a drop, and what it is not.

Over the episode's window each segment has a deficit: expected minus observed goers. If a drop is in one
segment only, that segment shows it more clearly than any larger scope does, the whole included; if it is
everywhere, the whole shows it most clearly. So the cause is the scope with the highest likelihood ratio for
a drop in it alone (Kulldorff's scan statistic), if it holds most of the whole deficit and nothing
significant is left outside.

A pair of values is named if it shows the drop more clearly than both of its halves do, and is a real part of
either: where nearly all of one half are in it, it would only say in two words what the other half says in
one.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from pipeline.core.detect.minutes import Scope

MOST: Final = 0.8  # of the whole deficit is in the cause
LEFT_Z: Final = 2.0  # standard deviations that may be left outside
KNOWN: Final = 0.08  # a segment's expected rate is not known better than this, relative
SEEN_Z: Final = 3.0  # that the cause itself must show
NEARLY_ALL: Final = 0.9  # a segment with so much of the whole, or of its half, says nothing that it does not
COVERED: Final = 0.9  # a dimension that covers less cannot tell rate from mix
LARGE: Final = 0.1  # of the whole: worth naming as not affected


@dataclass(frozen=True)
class Explanation:
    """Why: `cause` None is everybody. `mix` is the share of the deficit that other entrants make."""

    cause: Scope | None = None
    mix: float = 0.0
    mix_dimension: str = ""
    unaffected: tuple[Scope, ...] = ()


def explain(
    scopes: list[Scope],
    n: NDArray[np.float64],
    k: NDArray[np.float64],
    e: NDArray[np.float64],
    phi: float,
) -> Explanation:
    """`scopes[0]` is the whole step; n settled, k went on, e expected, over one window."""
    variance = phi * e * (1.0 - np.divide(e, n, out=np.zeros_like(e), where=n > 0).clip(0.0, 1.0))
    whole = float(e[0] - k[0])
    if whole <= 0 or len(scopes) == 1:
        return Explanation()
    mix, dimension = _mix(scopes, n, e, whole)
    cause = _smallest(scopes, n, k, e, variance, phi)
    fallen = scopes.index(cause) if cause else 0
    drop = float(1.0 - k[fallen] / e[fallen])
    return Explanation(cause, mix, dimension, _unaffected(scopes, k, e, variance, cause or scopes[0], drop))


def evidence(n: float, k: float, e: float, phi: float) -> float:
    """The log likelihood ratio of a drop to what was seen, in this scope alone; 0 where there is none."""
    if n <= 0 or k >= e or e >= n:
        return 0.0
    gone = k * math.log(k / e) if k > 0 else 0.0
    return (gone + (n - k) * math.log((n - k) / (n - e))) / phi


def _smallest(
    scopes: list[Scope],
    n: NDArray[np.float64],
    k: NDArray[np.float64],
    e: NDArray[np.float64],
    variance: NDArray[np.float64],
    phi: float,
) -> Scope | None:
    deficit = e - k
    whole = float(deficit[0])
    places = {scope.segment: i for i, scope in enumerate(scopes)}
    best, cause = evidence(n[0], k[0], e[0], phi), None
    for i in np.argsort(e, kind="stable").tolist():
        if i == 0 or e[i] > NEARLY_ALL * e[0] or deficit[i] < SEEN_Z * math.sqrt(variance[i]):
            continue
        if len(scopes[i].segment) > 1 and _says_its_half(i, scopes, places, n, e):
            continue
        outside = max(float(variance[0] - variance[i]), 0.0)
        left = whole - float(deficit[i])
        slack = math.sqrt(outside) / whole  # the whole deficit is not known better than this
        spread = math.hypot(math.sqrt(outside), KNOWN * float(e[0] - e[i]))
        if float(deficit[i]) < (MOST - slack) * whole or left > LEFT_Z * spread:
            continue
        found = evidence(n[i], k[i], e[i], phi)
        if found > best:
            best, cause = found, scopes[i]
    return cause


def _says_its_half(
    i: int,
    scopes: list[Scope],
    places: dict[tuple[tuple[str, str], ...], int],
    n: NDArray[np.float64],
    e: NDArray[np.float64],
) -> bool:
    """Whether nearly all of one half of a pair are in the pair, by who came or by who was to go on."""
    halves = [places[part,] for part in scopes[i].segment if (part,) in places]
    return any(n[i] > NEARLY_ALL * n[half] or e[i] > NEARLY_ALL * e[half] for half in halves)


def _mix(
    scopes: list[Scope], n: NDArray[np.float64], e: NDArray[np.float64], whole: float
) -> tuple[float, str]:
    """What of the deficit goes once each segment is expected its own rate; by what shows most of it."""
    dimensions = sorted({scope.segment[0][0] for scope in scopes if len(scope.segment) == 1})
    most, named = 0.0, ""
    for dimension in dimensions:
        mine = [i for i, s in enumerate(scopes) if len(s.segment) == 1 and s.segment[0][0] == dimension]
        covered = float(n[mine].sum())
        if covered < COVERED * n[0]:
            continue
        rest = float(n[0]) - covered
        expected = float(e[mine].sum()) + rest * float(e[0] / n[0])
        share = min(1.0, max(0.0, (float(e[0]) - expected) / whole))
        if share > most:
            most, named = share, dimension
    return most, named


def _unaffected(
    scopes: list[Scope],
    k: NDArray[np.float64],
    e: NDArray[np.float64],
    variance: NDArray[np.float64],
    cause: Scope,
    drop: float,
) -> tuple[Scope, ...]:
    """Large segments that have, with 97.5 %, less than half of the drop that would be theirs: that of the
    cause where they are apart from it, else that of the whole. A part of the cause's own name is affected.
    """
    parts = dict(cause.segment)
    whole = min(drop, float(1.0 - k[0] / e[0]))
    found = []
    for i, scope in enumerate(scopes):
        if len(scope.segment) != 1 or scope.segment[0] in cause.segment or e[i] < LARGE * e[0]:
            continue
        theirs = drop if scope.segment[0][0] in parts else whole
        if 1.0 - (k[i] - 2.0 * math.sqrt(variance[i])) / e[i] < theirs / 2:
            found.append(scope)
    return tuple(found)
