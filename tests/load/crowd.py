"""Shoppers without end, at a constant rate and at the speed of time, cheap enough for 200,000 events a
second.

Simulated shoppers (`pipeline/simulate`) are told once, into a pool of lines. The pool is played over and
over, in as many lanes as the rate takes, each shifted in time; whenever a shopper is played again every id of
theirs is new and their times are those of now. So visitors come and go as in the simulation, with its delays
on the way to the server and its duplicates, and the rate is the same from the first second on: shoppers in
the middle of their story are there from the beginning.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final, NamedTuple

import numpy as np
from numba import njit
from numpy.typing import NDArray

from pipeline.simulate import Settings, tell

SHARES: Final = {
    "bounce": 0.36,
    "browse": 0.32,
    "abandon_cart": 0.10,
    "abandon_checkout": 0.05,
    "abandon_payment": 0.03,
    "buy": 0.11,
    "one_click": 0.03,
}
"""The simulator's stories that are over within minutes: those that wait for hours or come late would make the
first hours of a run unlike all others.
"""

LANE_EVENTS_PER_SECOND_MAX: Final = 5_000
CYCLE_SECONDS: Final = 60
RUNS: Final = 1 << 16
"""Ids that the four hex digits of a simulation's run can tell apart."""

_START_MS: Final = 1_767_600_000_000
_TIMES: Final = re.compile(rb'"event_at":"([^"]+)","received_at":"([^"]+)"')
_HEX: Final = np.frombuffer("".join(f"{run:04x}" for run in range(RUNS)).encode(), np.uint8).reshape(-1, 4)
_SECONDS: Final = np.frombuffer(
    "".join(f"{ms // 1000:02}.{ms % 1000:03}" for ms in range(60_000)).encode(), np.uint8
).reshape(-1, 6)
_MINUTE_MS: Final = 60_000
_IDS_MAX: Final = 5  # of an event: its own, of visitor, user, cart and order


class Messages(NamedTuple):
    """Records that are due: message k is `text[ends[k - 1]:ends[k]]`."""

    text: bytes
    ends: list[int]
    partitions: list[int]

    def __iter__(self) -> Iterator[bytes]:  # type: ignore[override]
        start = 0
        for end in self.ends:
            yield self.text[start:end]
            start = end

    def __len__(self) -> int:
        return len(self.ends)


@dataclass(frozen=True)
class _Pool:
    """The lines of all shoppers, in the order in which a cycle plays them; times in ms since a shopper's
    cycle.
    """

    text: NDArray[np.uint8]
    starts: NDArray[np.int64]
    lengths: NDArray[np.int64]
    at: NDArray[np.int64]
    received: NDArray[np.int64]
    due: NDArray[np.int64]  # within the cycle, ascending
    wraps: NDArray[np.int64]  # how many cycles earlier the shopper's began
    partition: NDArray[np.int32]
    times: NDArray[np.int64]  # where the two times stand in the line
    ids: NDArray[np.int64]  # where the digits of the run stand in the line; -1: no more


class Crowd:
    """Plays `rate` events a second; the same seed and begin, the same bytes. `hurry` shortens everybody's
    pauses, not the ways to the server. To make the pool takes 12 µs an event of a lane's minute.
    """

    def __init__(self, rate: float, *, seed: int = 1, partitions: int = 1, hurry: float = 1.0) -> None:
        self.lanes = max(1, -(-int(rate) // LANE_EVENTS_PER_SECOND_MAX))
        self._pool, self.cycle_ms = _told(rate / self.lanes, seed, partitions, hurry)
        self._start_ms = 0
        self._phases = [lane * self.cycle_ms // self.lanes for lane in range(self.lanes)]
        self._runs = RUNS // self.lanes
        self._mix = seed * 40_503 % RUNS
        self._done_ms = 0

    def begin(self, start_ms: int) -> None:
        """Time begins at `start_ms`."""
        self._start_ms, self._done_ms = start_ms, 0

    def until(self, now_ms: int) -> Messages:
        """What is due since the last call, up to `now_ms`."""
        begin, self._done_ms = self._done_ms, max(self._done_ms, now_ms - self._start_ms)
        pieces = [
            piece
            for lane, phase in enumerate(self._phases)
            for piece in self._lane(lane, begin - phase, self._done_ms - phase)
        ]
        if not pieces:
            return Messages(b"", [], [])
        rows, bases, runs = (np.concatenate(column) for column in zip(*pieces, strict=True))
        return self._filled(rows, bases, runs)

    def _lane(
        self, lane: int, begin: int, end: int
    ) -> Iterator[tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]]:
        """Of a lane that is played from `begin` to `end` (ms of its own time): rows, their base, their
        run.
        """
        while begin < end:
            cycle, position = divmod(begin, self.cycle_ms)
            stop = min(self.cycle_ms, position + end - begin)
            first, last = np.searchsorted(self._pool.due, (position, stop))
            begin += stop - position
            if first < last:
                rows = np.arange(first, last)
                began = cycle - self._pool.wraps[first:last]
                bases = self._start_ms + self._phases[lane] + began * self.cycle_ms
                yield rows, bases, lane * self._runs + began % self._runs

    def _filled(self, rows: NDArray[np.int64], bases: NDArray[np.int64], runs: NDArray[np.int64]) -> Messages:
        pool = self._pool
        at, received = bases + pool.at[rows], bases + pool.received[rows]
        first = int(min(at.min(), received.min())) // _MINUTE_MS
        last = int(max(at.max(), received.max())) // _MINUTE_MS
        minutes = [
            datetime.fromtimestamp(m * 60, UTC).strftime("%Y-%m-%dT%H:%M:") for m in range(first, last + 1)
        ]
        texts = np.frombuffer("".join(minutes).encode(), np.uint8).reshape(-1, 17)
        ends = np.cumsum(pool.lengths[rows])
        out = np.empty(int(ends[-1]), np.uint8)
        _fill(
            out, ends, rows, at, received, runs ^ self._mix, texts, first, _SECONDS, _HEX,
            pool.text, pool.starts, pool.lengths, pool.times, pool.ids,
        )  # fmt: skip
        return Messages(out.tobytes(), ends.tolist(), pool.partition[rows].tolist())


def _told(rate: float, seed: int, partitions: int, hurry: float) -> tuple[_Pool, int]:
    """The pool of a lane of so many events a second, and the length of its cycle in ms."""
    settings = Settings(seed=seed, visitors=1, start_ms=_START_MS, duration_ms=_MINUTE_MS, stories=SHARES)
    random = np.random.default_rng(seed)
    wanted = max(int(rate * CYCLE_SECONDS), 1)
    lines: list[bytes] = []
    offsets: list[tuple[int, int, int]] = []  # event, received, arrival: ms after the shopper came
    shoppers: list[int] = []
    while len(lines) < wanted:
        number = shoppers[-1] + 1 if shoppers else 0
        for arrival, line in tell(settings, number, _START_MS):
            found = _TIMES.search(line)
            assert found is not None, line
            at, received = (_ms(text) - _START_MS for text in found.groups())
            hurried = int(at / hurry)
            offsets.append((hurried, hurried + received - at, hurried + arrival - _START_MS - at))
            lines.append(line)
            shoppers.append(number)
    cycle_ms = max(1, round(len(lines) / rate * 1000))
    came = random.integers(0, cycle_ms, shoppers[-1] + 1)[shoppers]
    return _pool(
        lines, np.array(offsets) + came[:, None], np.array(shoppers) % partitions, cycle_ms
    ), cycle_ms


def _pool(
    lines: list[bytes], offsets: NDArray[np.int64], partition: NDArray[np.int64], cycle_ms: int
) -> _Pool:
    order = np.argsort(offsets[:, 2] % cycle_ms, kind="stable")
    lines = [lines[place] for place in order.tolist()]
    offsets = offsets[order]
    lengths = np.array([len(line) for line in lines])
    run = lines[0][13:17]
    ids = re.compile(rb'"[vuco]?(' + run + rb")[0-9a-f]{8}")
    places = np.full((len(lines), _IDS_MAX), -1)
    times = np.empty((len(lines), 2), np.int64)
    for number, line in enumerate(lines):
        for k, found in enumerate(ids.finditer(line)):
            places[number, k] = found.start(1)
        match = _TIMES.search(line)
        assert match is not None
        times[number] = match.start(1), match.start(2)
    return _Pool(
        text=np.frombuffer(b"".join(lines), np.uint8),
        starts=np.cumsum(lengths) - lengths,
        lengths=lengths,
        at=offsets[:, 0].copy(),
        received=offsets[:, 1].copy(),
        due=offsets[:, 2] % cycle_ms,
        wraps=offsets[:, 2] // cycle_ms,
        partition=partition[order].astype(np.int32),
        times=times,
        ids=places,
    )


def _ms(text: bytes) -> int:
    return round(datetime.fromisoformat(text.decode()).timestamp() * 1000)


@njit(cache=True)  # type: ignore[untyped-decorator]
def _fill(  # type: ignore[no-untyped-def]
    out, ends, rows, at, received, runs, minutes, first, seconds, digits, text, starts, lengths, times, ids
):
    for k in range(len(rows)):
        row = rows[k]
        n = lengths[row]
        start = ends[k] - n
        begin = starts[row]
        out[start : start + n] = text[begin : begin + n]
        for which in range(2):
            ms = at[k] if which == 0 else received[k]
            place = start + times[row, which]
            minute = ms // 60_000
            for byte in range(17):
                out[place + byte] = minutes[minute - first, byte]
            for byte in range(6):
                out[place + 17 + byte] = seconds[ms - minute * 60_000, byte]
        for which in range(ids.shape[1]):
            if ids[row, which] < 0:
                break
            for byte in range(4):
                out[start + ids[row, which] + byte] = digits[runs[k], byte]
