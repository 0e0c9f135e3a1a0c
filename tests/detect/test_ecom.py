"""Half a year of a small shop through the commands that users have: what fires, what cannot be seen.

The report is ECOM.md, by `python -m tests.detect.ecom`.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest

from pipeline.core.detect import HORIZONS_MINUTES, Episode, Minute
from pipeline.lab.history import History
from pipeline.lab.history import read as segment_of
from pipeline.lab.incidents import Incident
from tests.detect.ecom_trial import entrants, history, minute_of, troubles
from tests.detect.forks import Answer, Base, fork
from tests.detect.once import once
from tests.detect.visits import DAY, FILE, MISSING, SCOPES, SEGMENTS, Counted, Visits, read

pytestmark = pytest.mark.skipif(not FILE.exists(), reason=MISSING)

DROP = minute_of("2024-06-05 09:00")


@pytest.fixture(scope="module")
def recorded(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Minutes from the tables of a run."""
    return once(tmp_path_factory, "ecom", history)


@pytest.fixture(scope="module")
def visits() -> Visits:
    return read()


@pytest.fixture(scope="module")
def base(recorded: Path, tmp_path_factory: pytest.TempPathFactory) -> Base:
    return once(tmp_path_factory, "base", lambda _: Base().run(_told(recorded), [DROP]))


def _told(path: Path) -> Iterator[Minute]:
    yield from History(path).minutes()


def _forked(base: Base, visits: Visits, rank: int, days: int) -> Answer:
    """Nobody goes on from a step for so many days."""
    drop = Incident("drop", rank, (), DROP, days * DAY, 1.0, "peak")
    return fork(base, drop, visits, np.random.default_rng(1), to_the_end=False)


def test_minutes_made_of_visits_are_those_of_the_tables(recorded: Path, visits: Visits) -> None:
    """Two ways from the same file: the pipeline's facts by SQL, and a loop over the file."""
    table = pq.read_table(recorded)
    first, last = (fold(table["minute"]).as_py() for fold in (pc.min, pc.max))
    place = {(scope.rank, scope.segment): number for number, scope in enumerate(SCOPES)}
    rows = [
        place[rank, segment_of(text)]
        for rank, text in zip(table["rank"].to_pylist(), table["segment"].to_pylist(), strict=True)
    ]
    names = ("entered", *(f"went_on_{minutes}" for minutes in HORIZONS_MINUTES), "skipped")
    counts = np.stack([table[name].to_numpy() for name in names], axis=1)
    minute = table["minute"].to_numpy()
    assert len(visits) == 3_605
    for begin in range(first, last + 1, 7 * DAY):
        cohorts = Counted(visits, begin, begin + 7 * DAY)
        mine = np.concatenate(
            (cohorts.entered[..., None], cohorts.went_on, cohorts.skipped[..., None]), axis=3
        )
        theirs = np.zeros_like(mine)
        here = (minute >= begin) & (minute < begin + 7 * DAY)
        step, segment = np.divmod(np.array(rows)[here], len(SEGMENTS))
        theirs[minute[here] - begin, step, segment] = counts[here]
        assert np.array_equal(mine, theirs)


def test_it_is_quiet_but_for_the_trouble_that_the_file_tells_of(base: Base, visits: Visits) -> None:
    """Payments failed for three weeks from 19 May. Half a year at one false page a week: two are called."""
    pages = base.pages.all()
    failed = troubles()["payment_error"]
    real = [page.first for page in pages if failed[0] <= page.first.detected_at <= failed[-1]]
    assert len(pages) - len(real) <= 3
    assert [(one.rule, one.scope.stage, one.scope.segment) for one in real] == [("drop", "payment", ())]
    (one,) = real
    assert one.detected_at - failed[0] < 3 * DAY
    assert abs(one.started_at - failed[0]) < 2 * DAY
    assert _is_lower(one)
    (_, _, _, before, _), (_, _, _, since, _) = (
        entrants(visits, begin, end)
        for begin, end in ((failed[0] - 30 * DAY, failed[0]), (failed[0], failed[-1]))
    )
    assert since[1] < 0.5 * before[1]  # it was no chance: the file's own payments say so


def _is_lower(one: Episode) -> bool:
    return one.observed < one.low <= one.expected


def test_a_total_loss_is_seen_after_a_dozen_lost_goers_and_not_sooner(base: Base, visits: Visits) -> None:
    answer = _forked(base, visits, 1, 4)
    assert answer.page is not None
    assert answer.waited is not None
    assert answer.waited > DAY // 4  # minutes are out of the question: some 30 come in a day
    assert answer.page.first.scope.stage == "view"
    assert answer.page.first.lost > 5
    assert answer.smallest == 1.0  # nothing can be seen in half an hour, says the detector
