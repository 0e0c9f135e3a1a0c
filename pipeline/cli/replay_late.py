"""How late the late records of a database were, and the allowed lateness with which none of them is."""

from __future__ import annotations

from bisect import bisect_left
from dataclasses import dataclass
from typing import Final

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from pipeline.cli.story.words import duration
from pipeline.settings import DAY_MS, BadSettings

EVENTS_WAITING_MAX: Final = 5_000_000
"""With a long lateness every event waits for so long before it is applied, in memory: some 400 bytes each
(measured at 1.5 million, with what their snapshots take), so 2 GB."""
LATENESS_MAX_MS: Final = DAY_MS
"""What the setting allows."""
MINUTE_S: Final = 60


@dataclass(frozen=True)
class Late:
    """The late records of a database: so many `records` were `behind_seconds` behind their watermark, at
    most, both in that order. So many `events` there were while the watermark was in a `minute` (in s).
    """

    behind_seconds: NDArray[np.int64]
    records: NDArray[np.int64]
    minute: NDArray[np.int64]
    events: NDArray[np.int64]

    @classmethod
    def of(cls, late: pa.Table, minutes: pa.Table) -> Late:
        """From the answers to the questions `late` and `minutes`."""
        return cls(*(_column(late, name) for name in ("behind_seconds", "records")),
                   *(_column(minutes, name) for name in ("minute", "events")))  # fmt: skip

    @property
    def total(self) -> int:
        """Late records."""
        return int(self.records.sum())

    @property
    def most_behind_ms(self) -> int:
        """Of the latest, at most."""
        return int(self.behind_seconds.max(initial=0)) * 1000

    def within(self, behind_seconds: int) -> int:
        """How many were at most so far behind."""
        return int(self.records[self.behind_seconds <= behind_seconds].sum())

    def waiting(self, lateness_ms: int) -> int:
        """How many events wait at a time with such an allowed lateness, about: those of the fullest stretch
        of time that is so long.
        """
        total = np.concatenate([[0], np.cumsum(self.events)])
        first = np.searchsorted(self.minute, self.minute - lateness_ms // 1000 - MINUTE_S)
        return int((total[1:] - total[first]).max(initial=0))

    def lateness_ms(self, before_ms: int, within_ms: int | None, *, sortable: bool) -> int:
        """The allowed lateness that takes them in: all, or those `within_ms` behind. They were late with that
        of `before_ms`. Raises BadSettings where too many events would wait.
        """
        wanted = self.behind_seconds
        if within_ms is not None:
            wanted = wanted[wanted * 1000 <= within_ms]
        needed = before_ms + int(wanted.max(initial=0)) * 1000
        if self._fits(needed):
            return needed
        raise BadSettings([self._too_long(needed, before_ms, sortable=sortable)])

    def _fits(self, lateness_ms: int) -> bool:
        return lateness_ms <= LATENESS_MAX_MS and self.waiting(lateness_ms) <= EVENTS_WAITING_MAX

    def _too_long(self, needed_ms: int, before_ms: int, *, sortable: bool) -> str:
        waiting, most = self.waiting(needed_ms), duration(LATENESS_MAX_MS)
        problem = (
            f"--late: with an allowed lateness of {duration(needed_ms)} some {waiting:,} events would wait "
            f"in memory: at most {EVENTS_WAITING_MAX:,} may, for {most}"
        )
        hints = ["--sort reads files in the order of time, and then none is late"] if sortable else []
        fitting = bisect_left(
            self.behind_seconds, True, key=lambda one: not self._fits(before_ms + int(one) * 1000)
        )
        if fitting:
            longest = int(self.behind_seconds[fitting - 1])
            share = self.within(longest) / self.total
            hints.append(f"--late-within {longest}s takes in {share:.0%} of them, those least behind")
        return f"{problem}\n  hint: {'; '.join(hints) or 'give it fewer records: --from, --to'}"


def _column(table: pa.Table, name: str) -> NDArray[np.int64]:
    return table.column(name).cast(pa.int64()).combine_chunks().to_numpy(zero_copy_only=False)  # type: ignore[no-any-return]
