"""`pathline alerts lab` and `simulate` as people type them, at toy size."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from typer.testing import CliRunner

from pipeline.cli import alerts_lab, alerts_simulate
from pipeline.cli.app import app
from pipeline.lab.history import SCHEMA, BadHistory, History, Keeper, read, written
from pipeline.lab.incidents import Incident
from pipeline.lab.market import DAY, START, Settings
from pipeline.lab.trial import Detects
from pipeline.lab.weeks import Weeks
from pipeline.settings import BadSettings
from tests.detect.lab_fakes import Halved

TOY = ("alerts", "lab", "--weeks", "1", "--learn", "0", "--entrants", "300")


@pytest.fixture(autouse=True)
def plain_detector(monkeypatch: pytest.MonkeyPatch) -> None:
    """The command is what is tried here; the detector has tests of its own."""

    def halved(budget: float) -> Detects:
        assert budget > 0
        return Halved()

    for module in (alerts_lab, alerts_simulate):
        monkeypatch.setattr(module, "detector", halved)


def pathline(*options: str) -> str:
    done = CliRunner().invoke(app, list(options), catch_exceptions=False)
    assert done.exit_code == 0, done.output
    return done.stdout


def test_the_lab_tells_and_writes_a_report_with_a_picture(tmp_path: Path) -> None:
    report, kept = tmp_path / "lab.md", tmp_path / "kept.parquet"
    said = pathline(*TOY, "--report", str(report), "--keep", str(kept))
    text = report.read_text()
    assert text.partition("\n![")[0] in said
    for part in (
        "# Alert lab",
        "| false pages a week | ≤ 1 |",
        "## Traffic",
        "## Found, by kind",
        "(lab.svg)",
    ):
        assert part in text
    assert (tmp_path / "lab.svg").read_text().startswith("<svg ")
    picture = tmp_path / "week.svg"
    told = pathline("alerts", "simulate", "--minutes", str(kept), "--picture", str(picture))
    assert "told at" in told
    assert "1 landing" in told
    assert picture.read_text().startswith("<svg ")


@pytest.mark.parametrize(
    ("options", "problem"),
    [
        (("--mix", "wild"), "--mix: 'wild' is none"),
        (("--learn", "1"), "--learn: 1 of 1 weeks leave none to score"),
        (("--report", "lab.txt"), "--report: lab.txt: what kind of file?"),
        (("--report", "nowhere/lab.md"), "--report: nowhere: no such folder"),
        (("--keep", "nowhere/lab.parquet"), "--keep: nowhere: no such folder"),
    ],
)
def test_what_cannot_be_is_said_before_it_begins(options: tuple[str, ...], problem: str) -> None:
    done = CliRunner().invoke(app, [*TOY, *options])
    assert isinstance(done.exception, BadSettings)
    assert problem in str(done.exception)


def kept(path: Path, weeks: Weeks, days: int) -> list[tuple[int, ...]]:
    """Writes some days; what the detector would have seen of them."""
    seen = []
    with Keeper(path) as keeper:
        for day in weeks.days():
            if day.number == days:
                break
            for minute in day.minutes():
                keeper.add(minute)
                seen.append(minute)
    return seen  # type: ignore[return-value]


def test_a_history_gives_the_minutes_that_were_kept(tmp_path: Path) -> None:
    settings = Settings(weeks=1, entrants_peak=100)
    what = Incident("silence", 1, (), START + 300, 45, 1.0, "night")
    before = kept(tmp_path / "minutes.parquet", Weeks(settings, [what]), 1)
    history = History(tmp_path / "minutes.parquet")
    after = list(history.minutes())
    assert all(later.at == earlier.at + 1 for earlier, later in pairwise(after))
    first = after[0].at - START
    places = [before[0].scopes.index(scope) for scope in history.scopes]
    compared = 0
    for minute, told in zip(after, before[first:], strict=False):
        assert minute.at == told.at
        if minute.at >= START + DAY - 60:
            break  # the last hour had not settled
        assert (minute.entered == told.entered[places]).all()
        assert (minute.settled == told.settled[places]).all()
        assert (minute.went_on == told.went_on[places]).all()
        assert (minute.skipped == told.skipped[places]).all()
        assert (minute.value_e4 == told.value_e4[places]).all()
        compared += int(minute.went_on.sum())
    assert compared > 10_000


def test_segments_are_written_so_that_they_can_be_read() -> None:
    for segment in ((), (("device", "mobile"),), (("campaign", "a=b, c%"), ("country", "DE"))):
        assert read(written(segment)) == segment


def table(**columns: object) -> pa.Table:
    names = {"journey": "shop", "version": 1, "rank": 1, "stage": "landing", "segment": ""}
    rows = len(np.atleast_1d(columns["minute"]))
    values = {name: [names.get(name, 0)] * rows for name in SCHEMA.names} | columns
    return pa.table(values, schema=SCHEMA)


def test_gaps_are_minutes_of_nobody_and_cohorts_settle_in_them(tmp_path: Path) -> None:
    pq.write_table(
        table(minute=[100, 103, 162], entered=[5, 2, 1], went_on_60=[4, 1, 1]), tmp_path / "a.parquet"
    )
    minutes = list(History(tmp_path / "a.parquet").minutes())
    assert [minute.at for minute in minutes] == list(range(100, 163))
    assert [int(minute.entered[0]) for minute in minutes[:5]] == [5, 0, 0, 2, 0]
    assert [int(minute.settled[0, -1]) for minute in minutes[59:]] == [0, 5, 0, 0]
    assert [int(minute.went_on[0, -1]) for minute in minutes[59:]] == [0, 4, 0, 0]


def test_files_that_are_no_history_are_refused_with_a_hint(tmp_path: Path) -> None:
    path = tmp_path / "a.parquet"
    with pytest.raises(BadHistory, match="hint"):
        History(path)
    path.write_text("minute,entered\n1,2\n")
    with pytest.raises(BadHistory, match="hint"):
        History(path)
    pq.write_table(pa.table({"minute": [1]}), path)
    with pytest.raises(BadHistory, match="no column journey, version"):
        History(path)
    pq.write_table(table(minute=[5], entered=pa.array([None], pa.int64())), path)
    with pytest.raises(BadHistory, match="rows without entered"):
        list(History(path).minutes())
    for wrong in ([5, 4], [1, 10_000_000]):
        pq.write_table(table(minute=wrong), path)
        with pytest.raises(BadHistory, match="counts minutes since 1970"):
            list(History(path).minutes())
