"""What each receiver is sent, by its own rules; and what its answers mean."""

from __future__ import annotations

import hashlib
import hmac
import json
import shutil
import ssl
import subprocess
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from confluent_kafka import KafkaError

from pipeline.alerts.message import Style, compose
from pipeline.alerts.notice import Delivered, Later, Notice, Refused, Told, key_of
from pipeline.alerts.routes.email import EmailRoute
from pipeline.alerts.routes.kafka import KafkaRoute
from pipeline.alerts.routes.pagerduty import PagerDutyRoute
from pipeline.alerts.routes.slack import SlackRoute
from pipeline.alerts.routes.webhook import WebhookRoute
from pipeline.alerts.secrets import SecretMissing, Secrets
from schemas.alert_targets import Email, Kafka, PagerDuty, Slack, Webhook
from sinks.base import SinkRefused
from tests.alerts.http_server import Receiver
from tests.alerts.kinds import HTTP
from tests.alerts.made import ALERT, MINUTE, SECRET, SECRETS, T0, THE_SECRET, alert, over
from tests.alerts.producer import FakeBroker
from tests.alerts.smtp_server import MailServer
from tests.kafka.topics import Topics

HAD = Told(1, "firing", "warning", "shop", "", "111.222", T0, is_sure=True)


def notice(one: Any = ALERT, kind: str = "firing", earlier: tuple[Told, ...] = (), at: float = T0) -> Notice:
    message = compose(one, at, Style("EUR", "https://bi.example/{alert_id}", "https://wiki.example"))
    return Notice(one, message, kind, key_of(one.alert_id, one.version, "team"), "team", earlier, at)


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with Receiver() as receiver:
        yield receiver


def test_a_webhook_is_signed_with_its_time(receiver: Receiver) -> None:
    route = WebhookRoute(Webhook(receiver.url, THE_SECRET, {"X-Team": "web"}), HTTP, Secrets(SECRETS))
    assert isinstance(route.send(notice()), Delivered)
    (request,) = receiver.requests
    signed = dict(part.split("=", 1) for part in request.headers["pathline-signature"].split(","))
    expected = hmac.new(SECRET.encode(), signed["t"].encode() + b"." + request.body, hashlib.sha256)
    assert signed == {"t": str(int(T0)), "v1": expected.hexdigest()}
    assert request.headers["x-team"] == "web"
    assert request.headers["content-type"] == "application/json"
    assert request.json["kind"] == "firing"
    assert request.json["schema"] == "pathline.alert/1"
    assert request.json["text"].startswith("Drop-off at checkout › payment")


def test_a_secret_is_fetched_anew_so_that_it_can_be_changed(receiver: Receiver) -> None:
    environment = {"THE_SECRET": "the first one"}
    route = WebhookRoute(Webhook(receiver.url, THE_SECRET, {}), HTTP, Secrets(environment))
    for secret in ("the first one", "the second one"):
        environment["THE_SECRET"] = secret
        route.send(notice())
    first, second = (request.headers["pathline-signature"] for request in receiver.requests)
    assert first != second
    del environment["THE_SECRET"]
    with pytest.raises(SecretMissing, match="THE_SECRET"):
        route.send(notice())


def test_pagerduty_gets_an_event_and_its_end(receiver: Receiver) -> None:
    receiver.status = 202
    route = PagerDutyRoute(PagerDuty(receiver.url, THE_SECRET), HTTP, Secrets(SECRETS))
    for one, kind in (
        (ALERT, "firing"),
        (alert(version=2, severity="info"), "update"),
        (over(ALERT, T0), "resolved"),
    ):
        assert isinstance(route.send(notice(one, kind)), Delivered)
    events = [request.json for request in receiver.requests]
    assert {request.path for request in receiver.requests} == {"/v2/enqueue"}
    assert [event["event_action"] for event in events] == ["trigger", "trigger", "resolve"]
    assert [event["payload"]["severity"] for event in events] == ["critical", "info", "critical"]
    assert {event["dedup_key"] for event in events} == {f"{ALERT.alert_id}.team"}
    assert {event["routing_key"] for event in events} == {SECRET}
    assert events[0]["links"][0]["href"] == f"https://bi.example/{ALERT.alert_id}"
    assert len(events[0]["payload"]["summary"]) <= 1024


def slack(receiver: Receiver) -> SlackRoute:
    receiver.body = json.dumps({"ok": True, "ts": "111.222"}).encode()
    return SlackRoute(Slack(receiver.url, None, THE_SECRET, "#alerts"), HTTP, Secrets(SECRETS))


def test_slack_keeps_an_episode_in_one_thread(receiver: Receiver) -> None:
    route = slack(receiver)
    assert route.send(notice()) == Delivered("ok", "111.222")
    route.send(notice(alert(version=2, severity="warning"), "update", (HAD,)))
    route.send(notice(alert(version=3), "update", (HAD,)))
    route.send(notice(over(ALERT, T0), "resolved", (HAD,)))
    said = [request.json for request in receiver.requests]
    assert [one.get("thread_ts") for one in said] == [None, "111.222", "111.222", "111.222"]
    assert [one.get("reply_broadcast", False) for one in said] == [False, False, True, True]
    assert {one["channel"] for one in said} == {"#alerts"}
    assert {request.headers["authorization"] for request in receiver.requests} == {f"Bearer {SECRET}"}


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ({"ok": False, "error": "channel_not_found"}, Refused("channel_not_found")),
        ({"ok": False, "error": "ratelimited"}, Later("ratelimited", may_have_it=False)),
        (["odd"], Later("200 but no JSON: is this Slack?")),
    ],
)
def test_slack_says_no_with_status_200(body: Any, expected: Any, receiver: Receiver) -> None:
    route = slack(receiver)
    receiver.body = json.dumps(body).encode()
    assert route.send(notice()) == expected


def test_slack_by_an_incoming_webhook(receiver: Receiver) -> None:
    secrets = Secrets({"THE_SECRET": receiver.url + "/services/T0/B0/x"})
    route = SlackRoute(Slack("https://slack.com/api", THE_SECRET, None, None), HTTP, secrets)
    assert isinstance(route.send(notice(alert(stage="a<b>&c"))), Delivered)
    (request,) = receiver.requests
    assert request.path == "/services/T0/B0/x"
    assert "a&lt;b&gt;&amp;c" in request.json["text"]
    assert "thread_ts" not in request.json


@pytest.fixture(scope="session")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A certificate of 127.0.0.1, with its key."""
    openssl = shutil.which("openssl")
    if openssl is None:
        pytest.skip("no openssl to make a certificate")
    folder = tmp_path_factory.mktemp("tls")
    subprocess.run(
        [
            openssl, "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes",
            "-days", "2", "-subj", "/CN=mail", "-addext", "subjectAltName=IP:127.0.0.1",
            "-keyout", str(folder / "key.pem"), "-out", str(folder / "cert.pem"),
        ],
        check=True, capture_output=True,
    )  # fmt: skip
    return folder


def email(
    server: MailServer, security: str, trusted: ssl.SSLContext | None = None, login: bool = True
) -> EmailRoute:
    to = ("a@shop.test", "b@shop.test")
    user, password = ("me", THE_SECRET) if login else (None, None)
    settings = Email("127.0.0.1", server.port, security, user, password, "pathline@shop.test", to)
    return EmailRoute(settings, Secrets(SECRETS), trusted)


def test_a_mail_goes_over_tls_and_so_does_the_password(certificate: Path) -> None:
    ours = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    ours.load_cert_chain(certificate / "cert.pem", certificate / "key.pem")
    with MailServer(tls=ours) as server:
        trusted = ssl.create_default_context(cafile=str(certificate / "cert.pem"))
        assert email(server, "starttls", trusted).send(notice()) == Delivered("accepted")
        assert server.logins == [("me", SECRET, True)]
        distrusted = email(server, "starttls").send(notice())
        assert isinstance(distrusted, Later)
        assert "TLS" in distrusted.reason
        assert len(server.mails) == len(server.logins) == 1


def test_without_tls_neither_mail_nor_password_leaves() -> None:
    with MailServer() as server:
        outcome = email(server, "starttls").send(notice())
        assert isinstance(outcome, Refused)
        assert "STARTTLS" in outcome.reason
        assert not server.logins
        assert not server.mails


def test_mails_of_an_episode_are_a_thread() -> None:
    with MailServer() as server:
        route = email(server, "none")
        route.send(notice())
        route.send(notice(alert(version=2), "update", (HAD,)))
        route.send(notice(replace(over(ALERT, T0 + MINUTE), version=3), "resolved", (HAD,)))
        first, *others = server.mails
        assert first["Message-ID"] == f"<{ALERT.alert_id}.team@shop.test>"
        assert first["References"] is None
        for version, other in enumerate(others, 2):
            assert other["References"] == other["In-Reply-To"] == first["Message-ID"]
            assert other["Message-ID"] == f"<{ALERT.alert_id}.{version}.team@shop.test>"
            assert other["Subject"] == f"Re: {first['Subject']}"
        assert first["Subject"] == "[Pathline] Drop-off at checkout › payment"
        assert first["To"] == "a@shop.test, b@shop.test"
        assert first["Auto-Submitted"] == "auto-generated"
        assert "508 of 1,240 who entered went on" in first.get_content()
        assert others[-1].get_content().startswith("Resolved: ")


@pytest.mark.parametrize(
    ("answers", "outcome", "said"),
    [
        ({"RCPT": "550 nobody here"}, Refused, "a@shop.test: 550 nobody here; b@shop.test: 550"),
        ({"RCPT": "450 greylisted"}, Later, "450 greylisted"),
        ({"<b@shop.test>": "550 gone"}, Delivered, "accepted, but not for b@shop.test: 550 gone"),
        ({"<b@shop.test>": "451 busy"}, Later, "b@shop.test: 451 busy"),
        ({"MAIL": "421 closing"}, Later, "421 closing"),
        ({"END": "554 spam"}, Refused, "554 spam"),
        ({"END": "452 full"}, Later, "452 full"),
        ({"AUTH": "535 wrong"}, Refused, "535 wrong"),
        ({"AUTH": "454 later"}, Later, "454 later"),
    ],
)
def test_what_a_mail_server_answers(answers: dict[str, str], outcome: type, said: str) -> None:
    with MailServer(answers=answers) as server:
        found = email(server, "none").send(notice())
        assert isinstance(found, outcome), found
        assert said in (found.answer if isinstance(found, Delivered) else found.reason)


def test_a_mail_server_that_hangs_up_may_have_the_mail_and_one_that_is_away_has_not() -> None:
    with MailServer(answers={"END": "HANGUP"}) as server:
        route = email(server, "none")
        lost = route.send(notice())
    away = route.send(notice())
    assert isinstance(lost, Later)
    assert isinstance(away, Later)
    assert (lost.may_have_it, away.may_have_it) == (True, False)


def test_kafka_gets_a_message_by_the_alert_s_key() -> None:
    broker = FakeBroker()
    route = KafkaRoute(Kafka("kafka://127.0.0.1:9092?prefix=shop."), broker.producer)
    assert route.send(notice()) == Delivered("acknowledged")
    (message,) = broker.taken
    assert (message.topic, message.key) == ("shop.alerts", ALERT.alert_id)
    assert message.headers == {
        "schema": b"pathline.alert/1",
        "message_id": f"{ALERT.alert_id}.1.team".encode(),
    }
    assert json.loads(message.value)["kind"] == "firing"
    assert broker.settings["enable.idempotence"] == "true"
    assert broker.settings["delivery.timeout.ms"] == "15000"


def test_what_a_broker_answers() -> None:
    broker = FakeBroker()
    route = KafkaRoute(Kafka("kafka://127.0.0.1:9092"), broker.producer)
    broker.error = KafkaError._MSG_TIMED_OUT
    assert isinstance(route.send(notice()), Later)
    broker.error = KafkaError.TOPIC_AUTHORIZATION_FAILED
    assert isinstance(route.send(notice()), Refused)
    broker.error, broker.is_away = None, True
    assert isinstance(route.send(notice()), Later)
    broker.is_away = False
    assert isinstance(route.send(notice()), Delivered)
    with pytest.raises(SinkRefused, match="begin with"):
        KafkaRoute(Kafka("kafka://127.0.0.1:9092?prefix=a/b"))


def test_a_real_broker_has_it(broker: Topics) -> None:
    prefix = f"{broker.topic()}."
    route = KafkaRoute(Kafka(f"kafka://{broker.servers}?prefix={prefix}"))
    assert route.send(notice()) == Delivered("acknowledged")
    assert route.send(notice(over(ALERT, T0), "resolved", (HAD,))) == Delivered("acknowledged")
    route.close()
    first, last = broker.read(f"{prefix}alerts")
    assert first.key == last.key == ALERT.alert_id.encode()
    assert [json.loads(one.value or b"")["state"] for one in (first, last)] == ["firing", "resolved"]
    assert first.headers["message_id"].decode() == f"{ALERT.alert_id}.1.team"
