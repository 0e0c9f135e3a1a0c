"""W1: one piece of work with exact answers, the same for every engine.

`write` draws a clickstream whose bytes depend on the number of sessions and the seed alone; `answer` computes
in one batch query what any engine must find in it. W1 has no ties and no gap of exactly 30 minutes: those
rules have tests of their own.

    python -m tests.w1 write SESSIONS SEED FILE...     the stream, split over the files by visitor
    python -m tests.w1 answer FILE...                  the answer, as JSON
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

STARTED_MS = 1_760_000_000_000
SPAN_MS = 3 * 3_600_000
DISORDER_MAX_MS = 9_000
CHUNK = 200_000
"""Events formatted at a time. Part of the distribution: products and values are drawn chunk by chunk."""

STAGES = {
    "page_view": 1,
    "view_item_list": 1,
    "view_item": 2,
    "add_to_cart": 3,
    "view_cart": 3,
    "begin_checkout": 4,
    "add_payment_info": 4,
    "purchase": 5,
    "search": 1,
    "share": 2,
}
EVENTS = tuple(STAGES)
DEVICES = ("mobile", "desktop", "tablet")
SOURCES = ("organic", "paid_search", "social", "email", "direct", "affiliate")

# Row: the event now; column: the event next, in the order of EVENTS; the last column leaves.
NEXT = np.array(
    [
        [0.25, 0.25, 0.15, 0.00, 0.00, 0.00, 0.00, 0.00, 0.10, 0.00, 0.25],
        [0.05, 0.20, 0.40, 0.00, 0.00, 0.00, 0.00, 0.00, 0.05, 0.00, 0.30],
        [0.05, 0.15, 0.25, 0.18, 0.02, 0.00, 0.00, 0.00, 0.05, 0.02, 0.28],
        [0.05, 0.05, 0.15, 0.10, 0.35, 0.10, 0.00, 0.00, 0.00, 0.00, 0.20],
        [0.05, 0.05, 0.10, 0.05, 0.10, 0.40, 0.00, 0.00, 0.00, 0.00, 0.25],
        [0.02, 0.00, 0.03, 0.00, 0.05, 0.10, 0.55, 0.00, 0.00, 0.00, 0.25],
        [0.02, 0.00, 0.00, 0.00, 0.03, 0.05, 0.10, 0.65, 0.00, 0.00, 0.15],
        [0.30, 0.10, 0.05, 0.00, 0.00, 0.00, 0.00, 0.00, 0.00, 0.10, 0.45],
        [0.05, 0.35, 0.35, 0.00, 0.00, 0.00, 0.00, 0.00, 0.10, 0.00, 0.15],
        [0.20, 0.10, 0.20, 0.00, 0.00, 0.00, 0.00, 0.00, 0.00, 0.05, 0.45],
    ]
)

LINE = (
    '{"event_id":"%016x%016x","ts":"%sZ","visitor_id":"v%09d","user_id":%s,"event":"%s",'
    '"url":"https://shop.example/p/%d","referrer":"https://www.example.org/","source":"%s","device":"%s",'
    '"product_id":"sku-%05d","value":%.2f}\n'
)


class Clicks(NamedTuple):
    """Who did what when: columns of one length."""

    visitor: NDArray[np.int64]
    at: NDArray[np.int64]
    event: NDArray[np.int64]


def write(paths: Sequence[Path], sessions: int, seed: int = 7) -> int:
    """Write W1 to `paths`, each visitor in one file, each file in arrival order; return the events."""
    random = np.random.default_rng(seed)
    clicks = _in_arrival_order(_walk(random, sessions), random)
    with ExitStack() as stack:
        files = [stack.enter_context(path.open("w", encoding="ascii", newline="\n")) for path in paths]
        for lines, visitors in _lines(clicks, random):
            if len(files) == 1:
                files[0].writelines(lines)
                continue
            homes = _file_of(visitors, len(files))
            for number, file in enumerate(files):
                file.writelines(lines[index] for index in np.flatnonzero(homes == number).tolist())
    return len(clicks.at)


def _walk(random: np.random.Generator, sessions: int) -> Clicks:
    """Every session from its first event until it leaves, all sessions one step at a time."""
    visitor = random.integers(0, max(1, int(sessions * 0.7)), sessions)
    at = STARTED_MS + (random.random(sessions) * SPAN_MS).astype(np.int64)
    is_home = random.random(sessions) < 0.7
    is_item = random.random(sessions) < 0.5
    event = np.where(
        is_home,
        EVENTS.index("page_view"),
        np.where(is_item, EVENTS.index("view_item"), EVENTS.index("search")),
    )
    reach = NEXT.cumsum(1)
    here = np.arange(sessions)
    steps: list[Clicks] = []
    while len(here):
        steps.append(Clicks(visitor[here], at[here], event[here]))
        following = (random.random(len(here))[:, None] > reach[event[here]]).sum(1)
        stays = following < len(EVENTS)
        here = here[stays]
        event[here] = following[stays]
        at[here] += (random.exponential(25_000, len(here)) + 500).astype(np.int64)
    return Clicks(*(np.concatenate(column) for column in zip(*steps, strict=True)))


def _in_arrival_order(clicks: Clicks, random: np.random.Generator) -> Clicks:
    delay = random.exponential(1500, len(clicks.at)).clip(0, DISORDER_MAX_MS).astype(np.int64)
    order = np.argsort(clicks.at + delay, kind="stable")
    return Clicks(*(column[order] for column in clicks))


def _lines(clicks: Clicks, random: np.random.Generator) -> Iterator[tuple[list[str], NDArray[np.int64]]]:
    """The lines of a chunk beside the visitor of each."""
    for start in range(0, len(clicks.at), CHUNK):
        visitors, at, events = (column[start : start + CHUNK] for column in clicks)
        products = random.integers(1, 5000, len(at)).tolist()
        cents = random.integers(500, 50_000, len(at)).tolist()
        texts = np.datetime_as_string(at.astype("datetime64[ms]"), unit="ms").tolist()
        rows = zip(visitors.tolist(), at.tolist(), texts, events.tolist(), products, cents, strict=True)
        yield [_line(start + index, *row) for index, row in enumerate(rows)], visitors


def _line(number: int, visitor: int, at: int, at_text: str, event: int, product: int, cents: int) -> str:
    return LINE % (
        number * 2_654_435_761 & 0xFFFF_FFFF_FFFF_FFFF,
        visitor * 40_503 + at,
        at_text,
        visitor,
        f'"u{visitor:08d}"' if visitor % 4 == 0 else "null",
        EVENTS[event],
        product,
        SOURCES[visitor % 6],
        DEVICES[visitor % 3],
        product,
        cents / 100,
    )


def _file_of(visitors: NDArray[np.int64], files: int) -> NDArray[np.int64]:
    """A hash, because device and source are visitor % 3 and % 6: files by remainder would differ in kind."""
    return (visitors * 2_654_435_761 >> 16) % files


@dataclass(frozen=True)
class Answer:
    """What every engine must find. `matrix` counts transitions by (from, to), 0 is the start."""

    events: int
    sessions: int
    transitions: int
    sessions_by_stage: dict[int, int]
    events_by_stage: dict[int, int]
    matrix: dict[tuple[int, int], int]
    aggregate: list[tuple[int, str, int, int]]  # minute since 1970, device, stage entered, count
    aggregate_hash: int


def answer(paths: Sequence[Path]) -> Answer:
    """The answer to the stream in `paths`, computed by chDB in a process of its own.

    Its own, because chDB keeps one engine per process and a test may be using that for its tables.
    """
    command = [sys.executable, __file__, "answer", *map(str, paths)]
    found = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
    by_stage = found["by_stage"]
    return Answer(
        events=sum(events for _, _, events in by_stage),
        sessions=sum(sessions for _, sessions, _ in by_stage),
        transitions=sum(count for _, _, count in found["matrix"]),
        sessions_by_stage={stage: sessions for stage, sessions, _ in by_stage},
        events_by_stage={stage: events for stage, _, events in by_stage},
        matrix={(before, after): count for before, after, count in found["matrix"]},
        aggregate=[tuple(row) for row in found["aggregate"]],
        aggregate_hash=int(found["hash"][0][0]),
    )


STEPS = """
CREATE TABLE w1.steps ENGINE = Memory AS
WITH
    clicks AS (
        SELECT
            visitor_id AS visitor,
            device,
            toUnixTimestamp64Milli(parseDateTime64BestEffort(ts, 3, 'UTC')) AS at,
            transform(event, [{events}], [{stages}], 0) AS stage
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
    )
SELECT visitor, session, at, device, stage, max(stage) OVER (
    PARTITION BY visitor, session ORDER BY at, stage
    ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING
) AS before
FROM numbered
"""
"""Every event with the furthest stage of its session before it, 0 at the start."""

BY_STAGE = """
SELECT furthest, count(), sum(n)
FROM (SELECT max(stage) AS furthest, count() AS n FROM w1.steps GROUP BY visitor, session)
GROUP BY furthest ORDER BY furthest
"""
MATRIX = "SELECT before, stage, count() FROM w1.steps WHERE stage > before GROUP BY ALL ORDER BY ALL"
AGGREGATE = """
SELECT intDiv(at, 60000) AS minute, device, stage, count() AS n
FROM w1.steps WHERE stage > before
GROUP BY ALL ORDER BY ALL
"""
HASH = f"""
SELECT toString(sum(cityHash64(toString(minute), device, toString(stage), toString(n))))
FROM ({AGGREGATE})
"""
QUESTIONS = {"by_stage": BY_STAGE, "matrix": MATRIX, "aggregate": AGGREGATE, "hash": HASH}


def steps(paths: Sequence[str]) -> str:
    """The statement that makes `w1.steps` of the stream in `paths`."""
    columns = "visitor_id String, ts String, event String, device String"
    files = " UNION ALL ".join(f"SELECT * FROM file('{path}', JSONEachRow, '{columns}')" for path in paths)
    events = ", ".join(f"'{event}'" for event in STAGES)
    return STEPS.format(events=events, stages=", ".join(map(str, STAGES.values())), files=files)


def ask(making: str) -> dict[str, list[list[object]]]:
    """The answers from `w1.steps`, which the statement `making` makes. One engine per process."""
    from chdb.session import Session

    session = Session()
    session.query("CREATE DATABASE w1")
    session.query(making)
    plain = "SETTINGS output_format_json_quote_64bit_integers = 0"
    return {
        name: json.loads(session.query(f"{question} {plain}", "JSONCompact").bytes())["data"]
        for name, question in QUESTIONS.items()
    }


def main(arguments: Sequence[str]) -> None:
    """See the head of this module."""
    match arguments:
        case ["write", sessions, seed, *paths] if paths:
            print(write([Path(path) for path in paths], int(sessions), int(seed)), "events")
        case ["answer", *paths] if paths:
            print(json.dumps(ask(steps(paths))))
        case _:
            sys.exit(__doc__)


if __name__ == "__main__":
    main(sys.argv[1:])


def mapping_with_orders(folder: Path) -> str:
    """A file with the mapping `w1` in which purchases are orders: what a journey with objects needs."""
    shipped = resources.files("schemas") / "definitions" / "mappings" / "w1.yaml"
    lines = shipped.read_text().splitlines(keepends=True)
    path = folder / "w1-with-orders.yaml"
    path.write_text("".join(line for line in lines if not line.startswith("orders:")))
    return str(path)
