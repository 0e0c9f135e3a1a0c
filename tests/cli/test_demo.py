"""`pathline demo` from an empty folder: a picture that adds up, and a command that works as printed."""

from __future__ import annotations

import os
import re
import shlex
from functools import cache
from pathlib import Path
from subprocess import CompletedProcess

import pytest

from pipeline.cli.compiled import keep_compiled
from pipeline.cli.demo import command
from pipeline.cli.show import bar, one_line, percent, sql
from tests.cli.run import mended, pathline

VISITORS = 3_000


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, CompletedProcess[str]]:
    folder = tmp_path_factory.mktemp("demo")
    done = pathline("demo", "--dir", "here", "--visitors", str(VISITORS), cwd=folder)
    assert done.returncode == 0, done.stderr
    return folder, done


def numbers(line: str) -> list[int]:
    return [
        int(text.replace(",", "")) for text in re.findall(r"(?<![\d.])\d[\d,]*(?![\d,]*(?:\.| ?%))", line)
    ]


def test_the_funnel_adds_up_and_ends_in_the_middle_of_traffic(
    demo: tuple[Path, CompletedProcess[str]],
) -> None:
    text = demo[1].stdout
    rows = {line.split()[0]: line for line in text[: text.index("drop-off is")].splitlines() if "█" in line}
    assert list(rows) == ["view", "cart", "checkout", "payment", "order"]
    for stage, line in rows.items():
        entered, *rest = numbers(line)
        assert entered > 0
        if stage != "order":
            went_on, dropped, still_open = rest
            assert entered == went_on + dropped + still_open
            assert f"{100 * dropped / (went_on + dropped):.1f} %" in line, "open ones are not in the rate"
    assert numbers(rows["view"])[3] > 0


def test_carts_that_are_open_are_in_no_rate(demo: tuple[Path, CompletedProcess[str]]) -> None:
    lines = demo[1].stdout[demo[1].stdout.index("\nabandonment ") :].splitlines()[2:6]
    assert [line.split()[0] for line in lines] == ["browse", "cart", "checkout", "payment"]
    for line in lines:
        created, still_open, settled = numbers(line)
        assert created == still_open + settled
        assert min(still_open, settled) > 0
        assert re.search(r"\d\.\d % +\d+\.\d %$", line), "both rates"


def test_sessions_and_records_are_told(demo: tuple[Path, CompletedProcess[str]]) -> None:
    text = demo[1].stdout
    for outcome in ("converted", "abandoned in cart", "bounced", "open"):
        assert re.search(rf"^{outcome} +[\d,]+ +[\d.]+ %$", text, re.MULTILINE), outcome
    found = {
        line.split()[0]: numbers(line)[0]
        for line in text[text.index("\nrecords") :].splitlines()[2:9]
        if line.split()
    }
    assert found["received"] == sum(found[name] for name in ("accepted", "duplicate", "late", "rejected"))
    assert found["balance"] == 0
    assert min(found["duplicate"], found["late"], found["rejected"]) > 0
    assert "not_json" in text
    assert "--sort" not in demo[1].stderr


def test_what_is_printed_to_ask_further_works_as_printed(demo: tuple[Path, CompletedProcess[str]]) -> None:
    folder, done = demo
    (line,) = [line for line in done.stdout.splitlines() if " query --clickhouse " in line]
    _, *arguments = shlex.split(line)
    answer = pathline(*arguments, cwd=folder)
    assert answer.returncode == 0, answer.stderr
    assert answer.stdout.split()[:5] == ["channel", "entered", "dropped", "open", "dropoff"]
    assert "paid_search" in answer.stdout


def test_every_accepted_event_is_there_to_be_asked(demo: tuple[Path, CompletedProcess[str]]) -> None:
    folder, _ = demo
    counts = "SELECT (SELECT count() FROM bi.events) = (SELECT sum(accepted) FROM bi.conservation) AS same"
    answer = pathline("query", "--clickhouse", f"chdb://{folder / 'here' / 'clickhouse'}", counts, cwd=folder)
    assert answer.stdout.split() == ["same", "1"], answer.stderr


def test_show_draws_the_same_picture(demo: tuple[Path, CompletedProcess[str]]) -> None:
    folder, done = demo
    shown = pathline("show", "--clickhouse", f"chdb://{folder / 'here' / 'clickhouse'}", cwd=folder)
    assert shown.returncode == 0, shown.stderr
    assert shown.stdout.strip() in done.stdout


def test_nothing_is_written_outside_the_folder(demo: tuple[Path, CompletedProcess[str]]) -> None:
    folder, _ = demo
    assert [path.name for path in folder.iterdir()] == ["here"]
    assert sorted(path.name for path in (folder / "here").iterdir()) == [
        "clickhouse",
        "events.jsonl",
        "state",
    ]


def test_a_folder_with_something_in_it_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "photo.jpg").write_text("dear")
    lines = mended(pathline("demo", "--dir", ".", cwd=tmp_path))
    assert lines == ["--dir: . is there already", "  hint: name a folder that is new or empty"]
    assert (tmp_path / "photo.jpg").read_text() == "dear"


@cache
def shipped() -> list[str]:
    from pipeline.cli.show import QUERIES

    return sorted(file.name.removesuffix(".sql") for file in QUERIES.iterdir())


def test_every_query_says_how_to_read_it_and_fits_on_a_line() -> None:
    assert len(shipped()) >= 6
    for name in shipped():
        assert sql(name).startswith("-- ")
        assert "--" not in one_line(sql(name))


@pytest.mark.parametrize(
    ("counts", "expected"),
    [((10, 5, 5), "█████▒▒░░"), ((0, 0, 0), ""), ((0, 1, 0), "▒"), ((20, 0, 0), "██████████")],
)
def test_bars(counts: tuple[int, int, int], expected: str) -> None:
    row = dict(zip(("went_on", "dropped", "open"), counts, strict=True))
    assert bar(row, 20, 10).plain == expected


def test_no_rate_is_nothing_and_not_zero() -> None:
    assert percent(None) == ""
    assert percent(0.0) == "0.0 %"


def test_the_command_is_printed_as_it_was_called(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.argv", ["my env/bin/pathline", "demo"])
    assert command() == "'my env/bin/pathline'"
    monkeypatch.setattr("sys.argv", ["-c", "demo"])
    assert command() == "pathline"


def test_an_empty_database_is_shown_as_such(tmp_path: Path) -> None:
    dsn = f"chdb://{tmp_path / 'clickhouse'}"
    assert pathline("migrate", "--clickhouse", dsn, cwd=tmp_path).returncode == 0
    shown = pathline("show", "--clickhouse", dsn, cwd=tmp_path)
    assert shown.returncode == 0, shown.stderr
    assert re.search(r"^received +0\s*$", shown.stdout, re.MULTILINE)


@pytest.fixture
def bare(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """No folder is named; the temporary one is there to be written."""
    monkeypatch.setenv("NUMBA_CACHE_DIR", "")  # so that it is set back
    monkeypatch.delenv("NUMBA_CACHE_DIR")
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    return tmp_path


def kept() -> Path:
    keep_compiled()
    return Path(os.environ["NUMBA_CACHE_DIR"])


def test_kernels_are_kept_in_the_cache_of_the_user(bare: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(bare / "cache"))
    assert kept().parent == bare / "cache" / "pathline"
    assert kept().is_dir()


def test_without_a_home_kernels_are_kept_where_nobody_else_writes(
    bare: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (bare / "file").write_text("")
    monkeypatch.setenv("XDG_CACHE_HOME", str(bare / "file" / "no folder"))
    place = kept()
    assert place.parent == bare
    assert place.stat().st_mode & 0o777 == 0o700
    place.chmod(0o777)  # as if somebody had made it before us, to have us run what they put there
    monkeypatch.delenv("NUMBA_CACHE_DIR")
    other = kept()
    assert other != place
    assert other.stat().st_mode & 0o777 == 0o700


def test_a_folder_that_was_named_is_left_as_it_is(bare: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NUMBA_CACHE_DIR", str(bare / "mine"))
    assert kept() == bare / "mine"
