"""All kinds of routes, each with a receiver that tests can take down: one suite of behaviour over all."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Protocol
from urllib.parse import quote

from confluent_kafka import KafkaError

from pipeline.alerts.http import UrllibHttp
from pipeline.alerts.notice import Transport
from pipeline.alerts.routes.alertmanager import AlertmanagerRoute
from pipeline.alerts.routes.email import EmailRoute
from pipeline.alerts.routes.kafka import KafkaRoute
from pipeline.alerts.routes.pagerduty import PagerDutyRoute
from pipeline.alerts.routes.slack import SlackRoute
from pipeline.alerts.routes.webhook import WebhookRoute
from pipeline.alerts.secrets import Secrets
from schemas.alert_targets import Alertmanager, Email, Kafka, PagerDuty, Slack, Target, Webhook
from tests.alerts.http_server import Receiver
from tests.alerts.made import SECRET, THE_SECRET
from tests.alerts.producer import FakeBroker
from tests.alerts.smtp_server import MailServer

HTTP = UrllibHttp(connect_seconds=2, read_seconds=2)


@dataclass(frozen=True)
class Got:
    """A message as its receiver sees it: by what it knows doubles, and which go together."""

    key: str
    thread: str
    is_over: bool


class Kind(Protocol):
    """A receiver, and the way to it."""

    target: Target
    transport: Transport

    def got(self) -> list[Got]:
        """What it was sent and took."""

    def set(self, how: str) -> None:
        """well, down (it takes nothing for now), or refusing (and so it will stay)."""


class OverHttp:
    """What all that speak HTTP have in common."""

    target: Target
    transport: Transport

    def __init__(self, receiver: Receiver) -> None:
        self.receiver = receiver
        self.well = receiver.body
        self._taken: list[Any] = []
        self._how = "well"

    def set(self, how: str) -> None:
        self.got()
        self._how = how
        self.receiver.status = {"well": 200, "down": 503, "refusing": 404}[how]
        self.receiver.body = self.well if how == "well" else f"not with {SECRET}, {quote(SECRET)}".encode()

    def got(self) -> list[Got]:
        fresh, self.receiver.requests[:] = [*self.receiver.requests], []
        self._taken += [self.read(request) for request in fresh if self._how == "well"]
        return [*self._taken]

    def read(self, request: Any) -> Got:
        raise NotImplementedError


class OfAlertmanager(OverHttp):
    def __init__(self, receiver: Receiver, secrets: Secrets) -> None:
        super().__init__(receiver)
        self.target = Alertmanager(receiver.url, None, None, THE_SECRET, {"team": "web"}, 900_000)
        self.transport = AlertmanagerRoute(self.target, HTTP, secrets)

    def read(self, request: Any) -> Got:
        one = request.json[0]
        labels = one["labels"]
        is_over = one["annotations"]["summary"].startswith("Resolved")
        return Got(json.dumps([labels, is_over], sort_keys=True), labels["alert_id"], is_over)


class OfPagerDuty(OverHttp):
    def __init__(self, receiver: Receiver, secrets: Secrets) -> None:
        super().__init__(receiver)
        self.target = PagerDuty(receiver.url, THE_SECRET)
        self.transport = PagerDutyRoute(self.target, HTTP, secrets)

    def read(self, request: Any) -> Got:
        event = request.json
        key = event["payload"]["custom_details"]["key"]
        return Got(key, event["dedup_key"], event["event_action"] == "resolve")


class OfSlack(OverHttp):
    def __init__(self, receiver: Receiver, secrets: Secrets) -> None:
        receiver.body = json.dumps({"ok": True, "ts": "1503435956.000247"}).encode()
        super().__init__(receiver)
        self.target = Slack(receiver.url, None, THE_SECRET, "#alerts")
        self.transport = SlackRoute(self.target, HTTP, secrets)

    def read(self, request: Any) -> Got:
        said = request.json
        thread = said.get("thread_ts", "1503435956.000247")  # the first message is the thread
        return Got(said["metadata"]["event_payload"]["key"], thread, said["text"].startswith("Resolved"))


class OfWebhook(OverHttp):
    def __init__(self, receiver: Receiver, secrets: Secrets) -> None:
        super().__init__(receiver)
        self.target = Webhook(receiver.url + "/hook", THE_SECRET, {"X-Token": THE_SECRET})
        self.transport = WebhookRoute(self.target, HTTP, secrets)

    def read(self, request: Any) -> Got:
        said = request.json
        return Got(request.headers["idempotency-key"], said["alert_id"], said["state"] == "resolved")


class OfEmail:
    def __init__(self, server: MailServer, secrets: Secrets) -> None:
        self.server = server
        self.target = Email(
            "127.0.0.1", server.port, "none", "pathline", THE_SECRET, "p@shop.test", ("a@shop.test",)
        )
        self.transport = EmailRoute(self.target, secrets)

    def set(self, how: str) -> None:
        self.server.answers = {
            "well": {},
            "down": {"MAIL": f"451 not with {SECRET}"},
            "refusing": {"RCPT": f"550 not with {SECRET}"},
        }[how]

    def got(self) -> list[Got]:
        return [
            Got(
                mail["X-Pathline-Key"],
                mail["References"] or mail["Message-ID"],
                mail.get_content().startswith("Resolved"),
            )
            for mail in self.server.mails
        ]


class OfKafka:
    def __init__(self, broker: FakeBroker) -> None:
        self.broker = broker
        self.target = Kafka("kafka://127.0.0.1:9092")
        self.transport = KafkaRoute(self.target, broker.producer)

    def set(self, how: str) -> None:
        errors = {"well": None, "down": KafkaError._MSG_TIMED_OUT, "refusing": KafkaError.MSG_SIZE_TOO_LARGE}
        self.broker.error = errors[how]

    def got(self) -> list[Got]:
        out = []
        for message in self.broker.taken:
            said = json.loads(message.value)
            out.append(Got(message.headers["message_id"].decode(), message.key, said["state"] == "resolved"))
        return out


OVER_HTTP = {
    "alertmanager": OfAlertmanager,
    "pagerduty": OfPagerDuty,
    "slack": OfSlack,
    "webhook": OfWebhook,
}
KINDS = (*OVER_HTTP, "email", "kafka")


@contextmanager
def opened(name: str, secrets: Secrets) -> Iterator[Kind]:
    """A kind with a receiver that runs."""
    if name == "email":
        with MailServer() as server:
            yield OfEmail(server, secrets)
    elif name == "kafka":
        yield OfKafka(FakeBroker())
    else:
        with Receiver() as receiver:
            yield OVER_HTTP[name](receiver, secrets)
