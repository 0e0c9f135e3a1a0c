"""Of very many open sessions and objects not all are told of at once: who is left over comes next, nobody
twice, and a stop tells all.
"""

from __future__ import annotations

from collections import Counter
from itertools import count

from pipeline.core.track.kernel import EXPIRE_ROWS
from pipeline.core.track.objects.objects import Spoken
from tests.harness import AS_OF_MS, PLAIN, Core, line
from tests.properties.test_open_caps import CARTS, ORDERED

VISITORS = 2 * EXPIRE_ROWS + 500
BEGIN = AS_OF_MS - 3_600_000


def opened() -> Core:
    """A shard in which so many visitors have just put something into their cart."""
    records = [
        {
            "event_id": f"e{visitor}",
            "visitor_id": f"v{visitor}",
            "event": "cart",
            "event_at": BEGIN + visitor // 100,
        }
        for visitor in range(VISITORS)
    ]
    records.append({"event_id": "later", "visitor_id": "z", "event": "other", "event_at": BEGIN + 60_000})
    core = Core([[line(one) for one in records]], [CARTS], ORDERED, PLAIN)
    core.read(0, len(records))
    core.advance(core.time())
    return core


def told_once(core: Core, blocks_max: int | None, *, stale: bool = False) -> tuple[list[int], list[int]]:
    """The sessions and the objects that one call tells of."""
    sessions: list[int] = []
    objects: list[int] = []
    for one in core.tracks[0].tell(stale=stale, blocks_max=blocks_max):
        if isinstance(one, Spoken):
            objects += one.records["key"].tolist()
        else:
            sessions += one.sessions["visitor"].tolist()
    return sessions, objects


def test_who_is_left_over_comes_next() -> None:
    core = opened()
    sessions: Counter[int] = Counter()
    objects: Counter[int] = Counter()
    for _ in count():
        some, others = told_once(core, 1)
        assert len(some) <= EXPIRE_ROWS
        sessions.update(some)
        objects.update(others)
        if core.tracks[0].all_told:
            break
    assert len(sessions) == len(objects) == VISITORS
    assert {*sessions.values(), *objects.values()} == {1}
    assert told_once(core, 1) == ([], [])


def test_a_stop_tells_all_whatever_was_told_before() -> None:
    core = opened()
    some, others = told_once(core, 1)
    assert not core.tracks[0].all_told
    rest, more = told_once(core, None, stale=True)
    assert core.tracks[0].all_told
    assert len({*some, *rest}) == len({*others, *more}) == VISITORS
