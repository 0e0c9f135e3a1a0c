"""A batch query on some files, timed inside its own process, net of start-up: prints JSON.

Two of them find the same answers. `specified` goes the way W1 is specified: columns as they are inferred, a
window for each notion (gap, session, furthest stage, the stage before it), every event kept whole. `lean` is
the best that we know how to ask (`tests/w1.py`): four columns, their types told, one window fewer.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Sequence
from typing import Final

from tests import w1

SPECIFIED: Final = """
CREATE TABLE w1.steps ENGINE = Memory AS
WITH
    clicks AS (
        SELECT
            visitor_id AS visitor,
            event_id,
            device,
            toDateTime64(ts, 3, 'UTC') AS moment,
            toUnixTimestamp64Milli(moment) AS at,
            multiIf({cases}, 0) AS stage
        FROM ({files})
    ),
    gaps AS (
        SELECT *, at - lagInFrame(at, 1, 0) OVER (
            PARTITION BY visitor ORDER BY at, stage
            ROWS BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW
        ) AS gap
        FROM clicks
    ),
    numbered AS (
        SELECT *, sum(gap > 1800000) OVER (
            PARTITION BY visitor ORDER BY at, stage
            ROWS BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW
        ) AS session
        FROM gaps
    ),
    risen AS (
        SELECT *, max(stage) OVER (
            PARTITION BY visitor, session ORDER BY at, stage
            ROWS BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW
        ) AS furthest
        FROM numbered
    )
SELECT *, lagInFrame(furthest, 1, 0) OVER (
    PARTITION BY visitor, session ORDER BY at, stage
    ROWS BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW
) AS before
FROM risen
"""


def steps(kind: str, paths: Sequence[str]) -> str:
    """The statement that makes `w1.steps`."""
    if kind == "lean":
        return w1.steps(paths)
    files = " UNION ALL ".join(f"SELECT * FROM file('{path}', JSONEachRow)" for path in paths)
    stages = sorted(set(w1.STAGES.values()))
    named = {stage: [event for event, its in w1.STAGES.items() if its == stage] for stage in stages}
    lists = {stage: ", ".join(f"'{event}'" for event in events) for stage, events in named.items()}
    cases = ", ".join(f"event IN ({events}), {stage}" for stage, events in lists.items())
    return SPECIFIED.format(cases=cases, files=files)


def main() -> None:
    """`python -m tests.benchmarks.batch lean|specified FILE...`"""
    import chdb.session  # noqa: F401  the import is start-up

    kind, *paths = sys.argv[1:]
    wall, cpu = time.perf_counter(), time.process_time()
    found = w1.ask(steps(kind, paths))
    took = {"wall": time.perf_counter() - wall, "cpu": time.process_time() - cpu}
    events = sum(int(str(row[2])) for row in found["by_stage"])
    print(json.dumps({**took, "events": events, "hash": found["hash"][0][0]}))


if __name__ == "__main__":
    main()
