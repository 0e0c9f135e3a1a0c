"""Definitions of alerts: what is read, and every mistake with its line, without repeating a secret."""

from __future__ import annotations

from pathlib import Path

import pytest

from schemas.alert_routes import QuietHours
from schemas.alert_targets import Alertmanager, Email, Kafka, PagerDuty, Slack, Webhook
from schemas.alerts import Heartbeat, Ignored, load_alerts, shipped_alerts
from schemas.documents import BadDefinition
from schemas.secret_refs import SecretRef

GOOD = """\
alerts: ours
budget: {false_pages_per_week: 0.5}
history: 7d
severity: {warning: 250, critical: 2500.50}
rules: [drop]
ignore:
  - {journey: checkout, stage: view}
  - {segment: device=tablet}
hold: 5m
give_up: 12h
update_every: 30m
link: https://bi.example/a/{alert_id}
runbook: https://wiki.example/drop-off
currency: EUR
routes:
  - {name: pager, type: pagerduty, routing_key: "${PD_KEY}", from: critical}
  - name: team
    type: slack
    token: file:/run/secrets/slack
    channel: "#shop"
    verdicts: [shop, unsure]
    quiet_hours: {from: "22:00", to: 07:30, timezone: Europe/Berlin}
  - {name: hook, type: webhook, url: "${HOOK_URL}", secret: "${HOOK}", headers: {X-Team: a, X-Token: "${T}"}}
  - {name: am, type: alertmanager, url: "http://am:9093", labels: {team: web}, expires_after: 10m}
  - {name: mail, type: email, host: mx, sender: p@x.test, to: [a@x.test], username: u, password: "${P}"}
  - {name: topic, type: kafka, dsn: "kafka://k1:9092,k2:9092?prefix=shop."}
heartbeat: {route: am, every: 30s}
"""


def refused(text: str, folder: Path) -> list[str]:
    """The problems of a definition as `line: message (hint)`."""
    path = folder / "ours.yaml"
    path.write_text(text)
    with pytest.raises(BadDefinition) as caught:
        load_alerts(str(path))
    assert {problem.file for problem in caught.value.problems} == {str(path)}
    return [f"{p.line}: {p.message}" + (f" ({p.hint})" if p.hint else "") for p in caught.value.problems]


def test_a_definition(tmp_path: Path) -> None:
    (tmp_path / "ours.yaml").write_text(GOOD)
    found = load_alerts(str(tmp_path / "ours.yaml"))
    assert (found.name, found.false_pages_per_week, found.history_ms) == ("ours", 0.5, 7 * 86_400_000)
    assert (found.warning_value_e4_per_hour, found.critical_value_e4_per_hour) == (2_500_000, 25_005_000)
    assert found.rules == ("drop",)
    assert found.ignore == (Ignored("checkout", "view", None), Ignored(None, None, "device=tablet"))
    assert (found.hold_ms, found.give_up_ms, found.update_every_ms) == (300_000, 43_200_000, 1_800_000)
    assert (found.currency, found.link) == ("EUR", "https://bi.example/a/{alert_id}")
    assert found.heartbeat == Heartbeat(None, "am", 30_000)
    env = {name: SecretRef("environment", name) for name in ("PD_KEY", "HOOK", "HOOK_URL", "T", "P")}
    assert [route.target for route in found.routes] == [
        PagerDuty("https://events.pagerduty.com", env["PD_KEY"]),
        Slack("https://slack.com/api", None, SecretRef("file", "/run/secrets/slack"), "#shop"),
        Webhook(env["HOOK_URL"], env["HOOK"], {"X-Team": "a", "X-Token": env["T"]}),
        Alertmanager("http://am:9093", None, None, None, {"team": "web"}, 600_000),
        Email("mx", 587, "starttls", "u", env["P"], "p@x.test", ("a@x.test",)),
        Kafka("kafka://k1:9092,k2:9092?prefix=shop."),
    ]
    pager, team, *_ = found.routes
    assert (pager.least, pager.verdicts, pager.quiet) == ("critical", ("shop", "tracking", "unsure"), None)
    assert (team.least, team.verdicts) == ("warning", ("shop", "unsure"))
    assert team.quiet == QuietHours(22 * 60, 7 * 60 + 30, "Europe/Berlin")


def test_what_ships_is_in_order_and_calls_nobody() -> None:
    assert shipped_alerts() == ["default"]
    found = load_alerts("default")
    assert found.routes == ()
    assert found.false_pages_per_week == 1.0
    assert (found.warning_value_e4_per_hour, found.critical_value_e4_per_hour) == (1_000_000, 10_000_000)


WHERE = "put it in the environment and write ${NAME}, or in a file and write file:/path"
LITERALS = {
    'type: pagerduty, routing_key: R0FTXXSECRET': "routing_key is a secret, and must not stand in this file",
    'type: pagerduty, routing_key: 31337': "routing_key is a secret, and must not stand in this file",
    'type: slack, webhook: "https://hooks.slack.com/services/T/B/XSECRET"': "webhook is a secret, and",
    'type: slack, channel: x, token: xoxb-SECRET': "token is a secret, and must not stand in this file",
    'type: webhook, url: "https://me:SECRET@x.test/", secret: "${S}"': "url has a secret in it, and",
    'type: webhook, url: "https://x.test/?token=SECRET", secret: "${S}"': "url has a secret in it, and",
    'type: webhook, url: "https://x.test/", secret: SECRETLY': "secret is a secret, and must not stand",
    'type: webhook, url: "https://x.test/", secret: "${S}", headers: {Authorization: SECRET}':
        "headers: Authorization is a secret, and must not stand in this file",
    'type: alertmanager, url: "http://am", token: SECRET': "token is a secret, and must not stand",
    'type: email, host: m, sender: a@x, to: [b@x], username: u, password: SECRET': "password is a secret",
    'type: kafka, dsn: "kafka://me:SECRET@k:9092"': "dsn has a secret in it, and must not stand in this file",
    'type: kafka, dsn: "kafka://k:9092?sasl.password=SECRET"': "dsn has a secret in it, and must not stand",
}  # fmt: skip


@pytest.mark.parametrize("entries", LITERALS)
def test_a_secret_must_not_stand_there_and_is_not_repeated(entries: str, tmp_path: Path) -> None:
    (problem,) = refused(f"alerts: ours\nroutes:\n  - {{name: one, {entries}}}\n", tmp_path)
    assert problem.startswith(f"3: {LITERALS[entries]}")
    assert WHERE in problem or "PATHLINE_KAFKA_SASL_PASSWORD" in problem
    for secret in ("SECRET", "31337"):
        assert secret not in problem


QUIET = (
    "routes: [{{name: a, type: kafka, dsn: 'kafka://k', "
    "quiet_hours: {{from: {}, to: '10:00', timezone: {}}}}}]"
)
MISTAKES = {
    "budget: {false_pages_per_week: 0}": "2: false_pages_per_week must be above 0 and at most 1000, not 0",
    "budget: {false_pages_per_week: few}": "2: false_pages_per_week must be a number, not text (1 is one",
    "budget: {pages: 1}": "2: budget has no key 'pages' (",
    "history: soon": "2: history must be a duration, not 'soon' (",
    "severity: {warning: 5, critical: 1}": "2: severity: critical begins below warning (",
    "severity: {warning: -5}": "2: warning of severity must not be negative",
    "rules: [drops]": "2: there is no rule 'drops' (did you mean 'drop'?)",
    "rules: [abandonment]": "2: 'abandonment' without 'drop' calls nobody"
    " (it is 'drop' at kinds of objects as well: ask for both)",
    "ignore: [{}]": "2: this ignores everything (",
    "ignore: [{segment: mobile}]": "2: 'mobile' is no segment (",
    "link: https://x.test/{id}": "2: link: nothing is put in for '{id}' (",
    "link: ${LINK}": "2: link is shown in every message: it cannot be a secret",
    "heartbeat: {every: 1m}": "2: a heartbeat has either a url or a route (",
    "heartbeat: {route: nobody}": "2: there is no route 'nobody'",
    "routes: [{name: a}]": "2: a route lacks 'type' (one of alertmanager, pagerduty",
    "routes: [{name: a, type: pager}]": "2: type of a route: 'pager' is not known (did you mean 'pager",
    "routes: [{type: slack, webhook: '${W}'}]": "2: a route of type slack lacks 'name'",
    "routes: [{name: a, type: slack}]": "2: a route of type slack has either a webhook, or a token",
    "routes: [{name: a, type: slack, token: '${T}'}]": "2: a token of slack needs a channel (",
    "routes: [{name: a, type: slack, webhook: '${W}', url: nowhere}]": "2: url is no URL (",
    "routes: [{name: a, type: slack, webhook: '${W}', from: high}]": "2: from: 'high' is not known (",
    "routes: [{name: a, type: slack, webhook: '${W}', verdicts: [shops]}]": "2: verdicts: 'shops' is not",
    "routes: [{name: a, type: kafka, dsn: 'k:9092'}]": "2: dsn names no brokers (",
    "routes: [{name: a, type: email, host: m, sender: a, to: [b@x]}]": "2: sender: 'a' is no address (",
    "routes: [{name: a, type: alertmanager, url: http://x, username: u}]": "2: username and password go",
    QUIET.format("'9'", "UTC"):
        "2: from of quiet_hours: '9' is no time of day (",
    QUIET.format("'09:00'", "X"):
        "2: there is no timezone 'X' (",
}  # fmt: skip


@pytest.mark.parametrize("line", MISTAKES)
def test_mistakes(line: str, tmp_path: Path) -> None:
    (problem,) = refused(f"alerts: ours\n{line}\n", tmp_path)
    assert problem.startswith(MISTAKES[line])


def test_all_mistakes_are_said_at_once(tmp_path: Path) -> None:
    text = "alert: x\nhistory: 1y\nroutes:\n  - {name: a, type: pagerduty}\n  - {name: B, type: slack}\n"
    assert [problem.split(" (")[0] for problem in refused(text, tmp_path)] == [
        "1: a definition of alerts has no key 'alert'",
        "1: a definition of alerts lacks 'alerts'",
        "2: history must be a duration, not '1y'",
        "4: a route of type pagerduty lacks 'routing_key'",
        "5: the route's name 'B' is not a name",
        "5: a route of type slack has either a webhook, or a token and a channel",
    ]


def test_two_routes_of_one_name(tmp_path: Path) -> None:
    one = "  - {name: a, type: slack, webhook: '${W}'}\n"
    (problem,) = refused(f"alerts: ours\nroutes:\n{one}{one}", tmp_path)
    assert problem.startswith("4: the route 'a' is here twice (the first is on line 3")


def test_a_password_needs_tls(tmp_path: Path) -> None:
    entries = "name: a, type: email, host: m, sender: a@x, to: [b@x], username: u, password: '${P}'"
    (problem,) = refused(f"alerts: ours\nroutes: [{{{entries}, security: none}}]\n", tmp_path)
    assert problem.startswith("2: a password would go over the wire as it is")


def test_a_heartbeat_by_a_route_that_cannot_notice(tmp_path: Path) -> None:
    route = "routes: [{name: a, type: slack, webhook: '${W}'}]"
    (problem,) = refused(f"alerts: ours\n{route}\nheartbeat: {{route: a}}\n", tmp_path)
    assert problem.startswith("3: the route 'a' is of type slack (only an Alertmanager notices")
