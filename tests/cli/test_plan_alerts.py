"""`pathline plan` and alerts: which would have differed, where both see a trouble and where one does."""

from __future__ import annotations

import io
import re
import subprocess
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import pytest
from rich.console import Console

from pipeline.alerts.alert import Alert
from pipeline.cli.plan import definitions
from pipeline.cli.plan_alerts import AlertsCompared, Difference, differing
from pipeline.cli.plan_alerts_report import ALERTS_MAX, report_alerts
from tests.cli.run import mended, pathline
from tests.e2e.days import Days

HOUR: Final = 3600.0
MINUTE: Final = 60.0
DROP: Final = (29.5 * HOUR, 30.2 * HOUR)
DAYS: Final = Days(datetime(2026, 3, 2, tzinfo=UTC).timestamp(), 32 * HOUR, DROP)
"""Nobody on a phone gets from the cart to the checkout, when the first day has been learnt."""
OLD: Final = """\
journey: shop
version: 1
conversion: order
stages:
  - {name: view, when: {event: page_view}}
  - {name: item, when: {event: view_item}}
  - {name: cart, when: {event: add_to_cart}}
  - {name: checkout, when: {event: begin_checkout}}
  - {name: order, when: {event: purchase}}
"""
ENDING_IN_THE_CART: Final = "".join(OLD.splitlines(keepends=True)[:-2]).replace(
    "conversion: order", "conversion: cart"
)
DEFINITIONS: Final = {
    "old": OLD,
    "ending": ENDING_IN_THE_CART,
    "renamed": OLD.replace("name: cart", "name: basket"),
}
IGNORING: Final = "alerts: ours\nignore:\n  - {stage: cart}\n"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("plan_alerts")
    DAYS.files(folder)
    for name, text in DEFINITIONS.items():
        (folder / f"{name}.yaml").write_text(text)
    (folder / "ignoring.yaml").write_text(IGNORING)
    return folder


def plan(folder: Path, old: str, new: str, *more: str) -> subprocess.CompletedProcess[str]:
    files = ("--input", "part-0.jsonl", "--input", "part-1.jsonl")
    done = pathline("plan", f"./{old}.yaml", f"./{new}.yaml", *files, *more, cwd=folder)
    assert done.returncode == 0, done.stderr
    return done


def listed(text: str) -> list[list[str]]:
    """The table of alerts, without its head."""
    lines = text[text.index("\nalerts that differ  ") + 1 :].splitlines()[1:]
    return [re.split(r" {2,}", line.strip()) for line in lines if line.strip()]


def test_a_drop_at_a_stage_that_the_other_definition_ends_in_is_called_only_by_one(folder: Path) -> None:
    done = plan(folder, "old", "ending")
    assert "1 alert differs: 1 only under shop 1; 0 the same under both." in done.stdout
    ((under, since, called, what, severity, lost, *_),) = listed(done.stdout)
    assert (under, what, severity) == ("only shop 1", "drop at cart, device=mobile", "critical")
    began = datetime.fromtimestamp(DAYS.begin + DROP[0], UTC)
    assert 0 <= (when(since) - began).total_seconds() <= 5 * MINUTE
    assert 0 < (when(called) - when(since)).total_seconds() <= 15 * MINUTE
    assert 30 < float(lost) < 200
    assert "Watched for drop under shop 1: view from 2026-03-03 " in done.stdout


def when(text: str) -> datetime:
    return datetime.strptime(text, "%Y-%m-%d %H:%M UTC").replace(tzinfo=UTC)


@pytest.mark.parametrize("new", ["old", "renamed"])
def test_under_the_same_stages_no_alert_differs(folder: Path, new: str) -> None:
    done = plan(folder, "old", new)
    assert "No alert differs: 1 would be called under both, alike." in done.stdout
    assert "alerts that differ" not in done.stdout


def test_what_the_definition_of_alerts_ignores_under_one_name_is_told_under_another(folder: Path) -> None:
    done = plan(folder, "old", "renamed", "--alerts", "./ignoring.yaml")
    assert "1 alert differs: 1 only under shop 1 (new); 0 the same under both." in done.stdout
    assert "Left out: 1 under shop 1 that the definition of alerts ignores." in done.stdout
    assert listed(done.stdout)[0][3] == "drop at basket, device=mobile"


def test_a_bad_definition_of_alerts_is_told(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "alerts.yaml").write_text("alerts: ours\nhistroy: 5h\n")
    where = ("--input", str(folder / "part-0.jsonl"), "--alerts", "./alerts.yaml")
    lines = mended(pathline("plan", folder / "old.yaml", folder / "old.yaml", *where, cwd=tmp_path))
    assert "alerts.yaml:2: " in lines[0]


AN_ALERT: Final = Alert(
    alert_id="a", version=1, rule="drop", journey="shop", journey_version=1, rank=3, stage="cart",
    segment="", state="resolved", started_at=600 * MINUTE, detected_at=605 * MINUTE,
    resolved_at=660 * MINUTE, observed=0.1, expected=0.6, low=0.5, high=0.7, entrants=100,
    lost_orders=40.0, lost_orders_low=30.0, lost_orders_high=50.0, lost_value=400.0, lost_value_low=300.0,
    lost_value_high=500.0, cause="device=mobile", mix=0.0, mix_dimension="", unaffected=(), verdict="shop",
    severity="warning", smallest_drop=0.2, reason="",
)  # fmt: skip


def alert(**other: Any) -> Alert:
    """One that is like the others but for this; times are in minutes."""
    times: dict[str, Any] = {
        name: MINUTE * other[name] for name in ("started_at", "detected_at") if name in other
    }
    return replace(AN_ALERT, **(other | times))


@pytest.mark.parametrize(
    ("other", "changes"),
    [
        ({}, ()),
        ({"detected_at": 614, "lost_orders": 49.0, "observed": 0.2}, ()),
        ({"detected_at": 620}, ("called 15 min later",)),
        ({"started_at": 580}, ("begins 20 min earlier",)),
        ({"lost_orders": 60.0}, ("lost orders 40 → 60",)),
        ({"lost_orders": 20.0}, ("lost orders 40 → 20",)),
        ({"cause": ""}, ("cause device=mobile → everybody",)),
        ({"severity": "critical"}, ("severity warning → critical",)),
        ({"verdict": "tracking"}, ("verdict shop → tracking",)),
        ({"segment": "device=mobile"}, ("found in everybody → device=mobile",)),
        ({"started_at": 630, "stage": "item"}, ("stage cart → item", "begins 30 min later")),
        ({"rule": "silence", "stage": "checkout"}, ("stage cart → checkout", "rule drop → silence")),
    ],
)
def test_what_differs_notably_of_an_alert_that_both_call(
    other: dict[str, Any], changes: tuple[str, ...]
) -> None:
    old, new = alert(), alert(alert_id="b", **other)
    differences, same = differing([old], [new], {})
    assert same == (not changes)
    assert differences == ((Difference(old, new, changes),) if changes else ())


def test_a_renamed_stage_is_the_same_stage() -> None:
    assert differing([alert()], [alert(alert_id="b", stage="basket")], {"cart": "basket"}) == ((), 1)


def test_alerts_that_begin_far_apart_are_two_unless_they_overlap_at_one_stage() -> None:
    old = alert(resolved_at=None)
    elsewhere = alert(alert_id="b", started_at=800, stage="item")
    differences, same = differing([old], [elsewhere], {})
    assert ([*map(sides, differences)], same) == ([("a", ""), ("", "b")], 0)
    (difference,), _ = differing([old], [alert(alert_id="b", started_at=800)], {})
    assert sides(difference) == ("a", "b")


def test_each_alert_is_matched_once_with_the_one_that_began_closest() -> None:
    new = [alert(alert_id="far", started_at=625), alert(alert_id="near", started_at=602)]
    differences, same = differing([alert()], new, {})
    assert ([*map(sides, differences)], same) == ([("", "far")], 1)


def sides(one: Difference) -> tuple[str, str]:
    return one.old.alert_id if one.old else "", one.new.alert_id if one.new else ""


def test_the_most_costly_come_first_and_the_list_has_an_end(folder: Path) -> None:
    many = [
        alert(alert_id=f"{n:02}", started_at=100 * n, resolved_at=0.0, lost_value=float(n))
        for n in range(1, ALERTS_MAX + 4)
    ]
    differences, same = differing(many, [], {})
    assert [one.old.lost_value for one in differences if one.old] == sorted(
        (one.lost_value for one in many), reverse=True
    )
    text = told(AlertsCompared(differences, same, (0, 0), ({("drop", "cart"): 0}, {}), 99, 1440), folder)
    assert f"{ALERTS_MAX + 3} alerts differ: {ALERTS_MAX + 3} only under shop 1; 0 the same" in text
    assert f"; the {ALERTS_MAX} most costly are listed." in text
    assert len(listed(text)) == ALERTS_MAX
    assert "Under shop 1 (new) no alert could be called" in text


def test_what_a_producer_sends_does_not_reach_the_terminal(folder: Path) -> None:
    differences, _ = differing([alert(cause="country=[red]\x1b")], [], {})
    text = told(AlertsCompared(differences, 0, (0, 0), ({("drop", "cart"): 0}, {}), 99, 1440), folder)
    assert "country=[red]\ufffd" in text
    assert "\x1b" not in text


def told(compared: AlertsCompared, folder: Path) -> str:
    text = io.StringIO()
    pair = definitions(str(folder / "old.yaml"), str(folder / "old.yaml"))
    report_alerts(compared, pair, Console(width=400, file=text))
    return text.getvalue()
