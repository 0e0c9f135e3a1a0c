"""The commands of load work, at toy size; and their verdicts say no where they must."""

from __future__ import annotations

import json
import subprocess
import sys
import xml.etree.ElementTree as ET
from collections import Counter
from dataclasses import replace
from datetime import datetime
from pathlib import Path

import numpy as np
import pytest

from tests.e2e.runs import ROOT
from tests.kafka.topics import Topics
from tests.load import outage, soak, throughput
from tests.load.crowd import Crowd
from tests.load.lag import Lag, Seen
from tests.load.live import environment
from tests.load.plot import Band, Panel, Series, svg
from tests.load.trend import Trend, percentile, trend

START_MS = 1_790_000_000_000
FLAT = Trend(100.0, 1.0)


def played(rate: float, seconds: int, seed: int = 1) -> tuple[list[bytes], list[int]]:
    crowd = Crowd(rate, seed=seed, partitions=3)
    crowd.begin(START_MS)
    lines, partitions = [], []
    for tick in range(1, seconds * 10 + 1):
        messages = crowd.until(START_MS + tick * 100)
        lines += list(messages)
        partitions += messages.partitions
    return lines, partitions


def test_a_crowd_comes_at_its_rate_with_new_ids_and_times_of_now() -> None:
    lines, partitions = played(6_000, 70)  # two lanes, more than a cycle of each
    assert len(lines) == pytest.approx(6_000 * 70, rel=0.01)
    each = Counter(min(int(100 * k / len(lines)), 99) for k in range(len(lines)))
    assert len(each) == 100
    ids = Counter(line[13:29] for line in lines)
    assert set(ids.values()) <= {1, 2}
    assert len(ids) == pytest.approx(len(lines) / 1.01, rel=0.005)  # one in a hundred comes twice
    homes: dict[str, int] = {}
    for number in range(0, len(lines), 97):
        event, due = json.loads(lines[number]), START_MS + number / len(lines) * 70_000
        at, received = (ms(event[name]) for name in ("event_at", "received_at"))
        assert at <= received <= due + 2_000
        assert due - at < 12_000
        assert homes.setdefault(event["visitor_id"], partitions[number]) == partitions[number]
        assert event["visitor_id"][1:13] == event["event_id"][:12]
        assert event.get("cart_id", event["visitor_id"])[1:13] == event["event_id"][:12]


def ms(text: str) -> int:
    return round(datetime.fromisoformat(text).timestamp() * 1000)


def test_the_same_seed_is_the_same_crowd() -> None:
    assert played(300, 3) == played(300, 3)
    assert played(300, 3) != played(300, 3, seed=2)


def test_a_slope_is_told_from_noise_and_from_peaks() -> None:
    random, times = np.random.default_rng(1), list(range(400))
    noise = 100 + random.normal(0, 5, 400)
    assert abs(trend(times, list(noise)).share) < 0.02
    peaks = noise.copy()
    peaks[300::7] += 500
    assert abs(trend(times, list(peaks)).share) < 0.05
    slope = trend(times, list(noise + np.linspace(0, 30, 400)))
    assert slope.growth == pytest.approx(30, abs=3)
    assert trend(times, [0.0] * 400).share == 0


def test_a_percentile_counts_rows_and_not_polls() -> None:
    assert percentile([3.0, 1.0, 9.0], [10, 89, 1], 0.5) == 1.0
    assert percentile([3.0, 1.0, 9.0], [10, 89, 1], 0.99) == 3.0
    assert percentile([3.0, 1.0, 9.0], [10, 89, 1], 1.0) == 9.0


def test_a_row_lags_from_its_event_to_the_poll_that_is_the_first_to_have_it() -> None:
    seen = Seen(lateness=10.0)
    assert seen.look([100_000, 100_050], [5, 1], 1_011.0) == 6
    assert seen.look([100_000, 100_050], [5, 3], 1_012.5) == 2
    assert seen.lags == [1.0, 0.5, 2.0]
    assert seen.counts == [5, 1, 2]
    assert (seen.rows, seen.percentile(1.0)) == (8, 2.0)
    assert Seen(lateness=10.0).percentile(0.99) == float("inf")


def failed(asked: list[throughput.Asked]) -> list[str]:
    return [one.what for one in asked if not one.holds]


def test_verdicts_of_throughput() -> None:
    seen = Seen(10.0, {}, [0.5, 1.9], [99, 1])
    good = Lag(1_000.0, 999.0, 0.1, seen, 0.2, {}, {})
    assert not failed(throughput.verdicts({"W1": 0.6}, [good]))
    assert len(failed(throughput.verdicts({"W1": 0.6, "shoppers": 0.59}, [good]))) == 1
    late = replace(good, seen=Seen(10.0, {}, [0.5, 2.1], [98, 2]))
    assert len(failed(throughput.verdicts({"W1": 0.6}, [late, good]))) == 1  # half the load is what was asked
    assert failed(throughput.verdicts({"W1": 0.6}, [replace(good, sent=900.0)]))
    assert failed(throughput.verdicts({"W1": 0.6}, [replace(good, behind=3.0)]))


def test_verdicts_of_an_outage() -> None:
    good = outage.Outcome(
        produced=100, received=100, balance=0, differing=[], views={"sessions": 9}, arrival=10.0,
        caught_up_at=30.0, backlog=50, before=1e9, most=1.2e9, calm=1e9, most_allowed=1e9, away=FLAT,
        restarts=0, retries=3,
    )  # fmt: skip
    assert not failed(outage.verdicts(good))
    for bad in (
        {"received": 99},
        {"received": 101},
        {"produced": 0, "received": 0},
        {"balance": 1},
        {"differing": ["sessions"]},
        {"views": {}},
        {"caught_up_at": 29.0},
        {"most": 2.1e9},
        {"away": Trend(100.0, 11.0)},
    ):
        assert len(failed(outage.verdicts(replace(good, **bad)))) == 1, bad  # type: ignore[arg-type]


def test_verdicts_of_a_soak() -> None:
    good = soak.Outcome(100, 100, 0, 1, 30.0, 10.0, dict.fromkeys((*soak.JUDGED, *soak.BESIDE), FLAT), {})
    assert not failed(soak.verdicts(good))
    assert failed(soak.verdicts(replace(good, received=99)))
    assert failed(soak.verdicts(replace(good, balance=1)))
    for name in soak.JUDGED:
        grown = {**good.trends, name: Trend(100.0, 10.5)}
        assert len(failed(soak.verdicts(replace(good, trends=grown)))) == 1, name


def test_a_plot_has_its_lines_and_keeps_peaks() -> None:
    values = [1.0] * 5_000
    values[1_234] = 100.0
    series = Series("memory", [k / 60 for k in range(5_000)], values)
    picture = svg("A <run>", [Panel("MB", [series]), Panel("s", [series, series])], [Band("away", 1, 2)])
    lines = ET.fromstring(picture).findall(".//{http://www.w3.org/2000/svg}polyline")
    assert len(lines) == 3
    heights = [float(place.split(",")[1]) for place in lines[0].attrib["points"].split()]
    assert max(heights) - min(heights) > 90
    assert ET.fromstring(svg("nothing", [Panel("MB", [])])) is not None


def load(module: str, folder: Path, *arguments: object) -> str:
    """A command to its report, whatever the verdict: at toy size it says nothing."""
    report = folder / "report.md"
    command = [sys.executable, "-m", f"tests.load.{module}", "--report", str(report), *map(str, arguments)]
    done = subprocess.run(command, cwd=ROOT, env=environment(), capture_output=True, text=True, timeout=300)
    assert done.returncode in (0, 1), done.stderr
    assert report.exists(), done.stdout + done.stderr
    text = report.read_text()
    assert (done.returncode == 1) == ("**no**" in text), text
    return text


def test_throughput_and_lag_are_measured(broker: Topics, tmp_path: Path) -> None:
    text = load(
        "throughput", tmp_path, "--servers", broker.servers, "--rounds", 1, "--warm-rounds", 0,
        "--sessions", 300, "--shoppers", 900, "--lag-seconds", 2, "--rate", 300, "--lateness", 1,
        "--sweep", 1,
    )  # fmt: skip
    assert text.count("| file |") == text.count("| broker |") == 2
    (row,) = (line for line in text.splitlines() if line.startswith("| 300 |") and line.count("|") == 10)
    rows_seen = int(row.split("|")[4].strip().replace(",", ""))
    assert rows_seen > 0


def test_an_outage_loses_nothing(broker: Topics, tmp_path: Path) -> None:
    text = load(
        "outage", tmp_path, "--servers", broker.servers, "--minutes", 0.05, "--rate", 300,
        "--warm-seconds", 1, "--epoch", "500ms", "--allowed-lateness", "1s",
    )  # fmt: skip
    for asked in ("nothing lost", "`bi.conservation` balances", "the views of a run without an outage"):
        (line,) = (line for line in text.splitlines() if line.startswith(f"| {asked}"))
        assert line.endswith("| yes |"), line
    assert (tmp_path / "outage.svg").read_text().count("<polyline") == 4


def test_a_soak_is_judged(broker: Topics, tmp_path: Path) -> None:
    text = load(
        "soak", tmp_path, "--servers", broker.servers, "--minutes", 0.08, "--rate", 300, "--every", 0.4,
        "--epoch", "300ms", "--allowed-lateness", "1s",
    )  # fmt: skip
    (line,) = (line for line in text.splitlines() if line.startswith("| received = produced, in balance"))
    assert line.endswith("| yes |"), line
    assert (tmp_path / "soak.svg").read_text().count("<polyline") == 9
