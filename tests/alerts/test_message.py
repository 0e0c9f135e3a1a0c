"""Messages as people get them: whole, as aligned text in `golden/`."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from pipeline.alerts.alert import Alert
from pipeline.alerts.message import Style, compose
from pipeline.alerts.words import minutes, money, number, percent
from tests.alerts.made import ALERT, HOUR, MINUTE, T0, alert, over

GOLDEN = Path(__file__).parent / "golden"
PLAIN = Style()
FULL = Style("EUR", "https://bi.example/a/{alert_id}?step={journey}/{stage}", "https://wiki.example/drop-off")
MOBILE = alert(
    segment="device=mobile", cause="country=de, device=mobile", mix=0.62, mix_dimension="channel",
    unaffected=("device=desktop", "device=tablet"), verdict="unsure", severity="warning",
)  # fmt: skip
SILENT = alert(
    rule="silence", observed=0.0, expected=4.1, low=2.2, high=6.4, entrants=0, lost_orders=8.4,
    lost_orders_low=3.0, lost_orders_high=13.0, lost_value=0.0, lost_value_low=0.0, lost_value_high=0.0,
    verdict="tracking", severity="info", smallest_drop=0.9, reason="0.00 entrants a minute instead of 4.10",
)  # fmt: skip
NOBODY = alert(
    observed=0.0,
    entrants=0,
    low=0.0,
    high=1.0,
    lost_orders=0.0,
    lost_orders_low=0.0,
    lost_orders_high=0.0,
    lost_value=0.0,
)

STORIES = {
    "drop": (ALERT, T0 + 20 * MINUTE, FULL, ""),
    "segment": (MOBILE, T0 + 5 * MINUTE, PLAIN, ""),
    "silence": (SILENT, T0 + 2 * HOUR, PLAIN, ""),
    "unwell": (ALERT, T0 + MINUTE, PLAIN, "events are 4 min behind"),
    "resolved": (over(ALERT, T0 + 36 * MINUTE), T0 + 40 * MINUTE, FULL, ""),
    "nobody": (NOBODY, T0, PLAIN, ""),
}


@pytest.mark.parametrize("story", STORIES)
def test_a_message_reads_as_it_should(story: str) -> None:
    one, at, style, unwell = STORIES[story]
    text = compose(one, at, style, unwell).text
    assert text + "\n" == (GOLDEN / f"{story}.txt").read_text("utf-8")


@pytest.mark.parametrize("one", [NOBODY, over(NOBODY, T0), SILENT])
def test_of_nobody_there_is_no_rate(one: Alert) -> None:
    message = compose(one, T0, FULL)
    assert not re.search(r"(?<![\d.])0(\.0)?%", message.text)
    assert message.data["observed"] is None or one.rule == "silence"


def test_nobody_of_many_is_said_in_words() -> None:
    assert "nobody goes on instead of 68.0%" in compose(alert(observed=0.0), T0, PLAIN).title


def test_the_subject_is_the_same_for_all_of_an_episode() -> None:
    later = over(alert(severity="info", verdict="tracking", observed=0.5), T0 + HOUR)
    assert compose(ALERT, T0, PLAIN).subject == compose(later, T0 + HOUR, PLAIN, "lag").subject


def test_a_rule_that_is_not_known_is_told_by_its_reason() -> None:
    text = compose(alert(rule="payment", reason="9.1% of payments fail instead of 2.0%"), T0, PLAIN).text
    assert text.startswith("payment at checkout › payment: 9.1% of payments fail instead of 2.0%")


def test_names_in_links_are_quoted() -> None:
    one = alert(journey="a&b", stage="x/y")
    assert compose(one, T0, FULL).link == f"https://bi.example/a/{one.alert_id}?step=a%26b/x%2Fy"


def test_the_loss_is_also_told_by_the_minute() -> None:
    data = compose(ALERT, T0 + 20 * MINUTE, FULL).data  # thirty minutes since it began
    assert data["lost_orders"]["a_minute"] == pytest.approx(335 / 30, abs=1e-3)
    assert data["lost_value"]["a_minute"] == pytest.approx(12_400 / 30, abs=1e-3)
    assert data["lost_value"]["currency"] == "EUR"


def test_a_test_says_so() -> None:
    message = compose(ALERT, T0, PLAIN, is_test=True)
    assert message.title.startswith("Test, nothing happened: ")
    assert message.data["is_test"] is True


@pytest.mark.parametrize(
    ("shown", "said"),
    [
        (percent(0.0004), "under 0.1%"), (percent(0.0), "0.0%"), (percent(0.9999), "over 99.9%"),
        (number(12_345.6), "12,346"), (number(1.24), "1.2"), (number(0.034), "0.034"), (number(3.0), "3"),
        (number(float("nan")), "unknown"), (money(1240.0, "EUR"), "1,240 EUR"), (money(2.0, ""), "2"),
        (minutes(20), "1 min"), (minutes(3600), "1 h"), (minutes(3 * 3600 + 600), "3 h 10 min"),
    ],
)  # fmt: skip
def test_figures_in_words(shown: str, said: str) -> None:
    assert shown == said
