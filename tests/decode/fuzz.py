"""`python -m tests.decode.fuzz --cases N`: the fast path against the exact decoder, on N random lines.

It stops at the first line that the two see differently, and prints it with its mapping.
"""

from __future__ import annotations

import argparse
import collections
import random
import time
from typing import Any

import numpy as np

from pipeline.core.decode import lines as lines_module
from pipeline.core.decode.decoder import Decoder, TimeBounds
from pipeline.core.decode.exact import Event, ExactDecoder
from tests.decode import cases
from tests.decode.reference import Fate, block, exact_fates, fates

BOUNDS = TimeBounds(1_800_000_000_000)


EXACT = "events by the exact decoder"


class Counting(ExactDecoder):
    """Knows how many events it was needed for: the others took the fast path."""

    done = 0

    def decode(self, record: dict[str, Any], received_ms: int | None = None) -> Event:
        event = super().decode(record, received_ms)
        self.done += 1
        return event


def check(rng: random.Random, count: int) -> collections.Counter[str]:
    """Decodes `count` random lines of a random mapping both ways; what became of them, counted."""
    rules = cases.mapping(rng)
    decoder = Decoder(rules, cases.needed(rng, rules), BOUNDS)
    decoder._exact = Counting(rules, decoder.needed, BOUNDS)
    data = block([cases.line(rng, rules) for _ in range(count)])
    expected = exact_fates(data.tobytes(), rules, decoder.needed, BOUNDS)
    found = _decoded(decoder, data, rng.choice((1, 3, 1000)))
    assert len(found) == len(expected), (len(found), len(expected), rules)
    for theirs, ours in zip(found, expected, strict=True):
        assert _same(theirs, ours), f"\nfast  {theirs}\nexact {ours}\n{rules}\n{data.tobytes()!r}"
    became = collections.Counter(fate[0] if isinstance(fate, tuple) else "event" for fate in expected)
    return became + collections.Counter({EXACT: decoder._exact.done})  # type: ignore[attr-defined]


def _decoded(decoder: Decoder, data: np.ndarray, rows_max: int) -> list[Fate]:  # type: ignore[type-arg]
    found: list[Fate] = []
    begin = 0
    while begin < len(data):
        decoded, taken = decoder.lines(data, begin, rows_max)
        assert taken > 0
        assert decoded.batch.schema == decoder.schema
        found += fates(decoded)
        begin += taken
    return found


def _same(theirs: Fate, ours: Fate) -> bool:
    if isinstance(theirs, tuple) or isinstance(ours, tuple):
        return theirs == ours
    return theirs == ours and all(type(theirs[name]) is type(ours[name]) for name in ours)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--cases", type=int, default=100_000)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    rng = random.Random(options.seed)
    became: collections.Counter[str] = collections.Counter()
    began = time.process_time()
    mappings = 0
    while became.total() - became[EXACT] < options.cases:
        lines_module.CHUNK_ROWS = rng.choice((1, 2, 5, 4096))  # type: ignore[misc]
        became += check(rng, rng.choice((1, 10, 40)))
        mappings += 1
    exact = became.pop(EXACT)
    print(f"{became.total():,} lines under {mappings:,} mappings, seed {options.seed}: no difference")
    print(f"events by the fast path {became['event'] - exact:,}, by the exact decoder {exact:,}")
    print(", ".join(f"{name} {n:,}" for name, n in became.most_common()))
    print(f"{time.process_time() - began:.0f} s of CPU")


if __name__ == "__main__":
    main()
