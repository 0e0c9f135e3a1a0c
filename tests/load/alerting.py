"""From the first missing order to a message at an Alertmanager: how many minutes, in real time.

    python -m tests.load.alerting                      # 60 visitors a minute and nothing else
    python -m tests.load.alerting --noise 45000        # beside so many events/s of other people

Two days of visitors lie in a topic and end now; then visitors go on coming as time passes. After a while
nobody on a phone gets from the cart to the checkout any more. A run with a route to a real Alertmanager
reads that, beside it a topic of other people's events, and we wait for the alert.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, closing
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

from tests.alerts.alertmanager import RunningAlertmanager, an_alertmanager
from tests.e2e.days import DAY, PARTITIONS, WAY, Days
from tests.kafka.topics import Record, Topics
from tests.load.live import Live, LoadFailed, Producer, broker_at, until
from tests.load.report import Asked, conclude, page, prose, table

HERE: Final = Path(__file__).parent
PREFIX: Final = "spike_"
JOURNEY: Final = """\
journey: spike
version: 1
key: visitor
conversion: purchase
stages:
"""
STAGES: Final = ("page_view", *(event for event, _ in WAY))
ALERTS: Final = """\
alerts: load
routes:
  - name: duty
    type: alertmanager
    url: {url}
"""
PATIENCE_SECONDS: Final = 3_600.0
MINUTES_MAX: Final = 15.0


def journey() -> str:
    """Its stages are the events of those who come."""
    return JOURNEY + "".join(f"  - name: {event}\n    when: {{event: {PREFIX}{event}}}\n" for event in STAGES)


def records(parts: list[list[dict[str, Any]]]) -> Iterator[tuple[str, Record]]:
    """When each is due, and what is then sent; in the order of time."""
    told = [(event["event_at"], number, event) for number, events in enumerate(parts) for event in events]
    for at, number, event in sorted(told, key=lambda one: (one[0], one[1])):
        yield at, Record(json.dumps(event).encode(), partition=number)


class Trickle(threading.Thread):
    """Sends what is due, as time passes, until it is told to stop."""

    def __init__(self, broker: Topics, topic: str, days: Days) -> None:
        super().__init__(name="trickle", daemon=True)
        self._broker, self._topic = broker, topic
        self._due = list(records(days.partitions()))
        self._done = threading.Event()
        self.start()

    def run(self) -> None:
        at = 0
        while not self._done.wait(0.5) and at < len(self._due):
            now = datetime.now(UTC).isoformat(timespec="milliseconds")
            stop = next((n for n in range(at, len(self._due)) if self._due[n][0] > now), len(self._due))
            if stop > at:
                self._broker.produce(self._topic, [record for _, record in self._due[at:stop]])
            at = stop

    def close(self) -> None:
        self._done.set()
        self.join()


def first_missing(days: Days) -> float:
    """Unix seconds of the first checkout that does not come: of the same visitors without the drop."""
    whole = Days(days.begin, days.seconds, (0.0, 0.0), days.visitors_per_minute, days.seed, days.prefix)
    there = {event["event_id"] for events in days.partitions() for event in events}
    gone = (
        event["event_at"]
        for events in whole.partitions()
        for event in events
        if event["event"] == f"{PREFIX}begin_checkout" and event["event_id"] not in there
    )
    return datetime.fromisoformat(min(gone)).timestamp()


def measure(args: argparse.Namespace, folder: Path, duty: RunningAlertmanager, broker: Topics) -> list[str]:
    """The row of the report."""
    (folder / "spike.yaml").write_text(journey())
    (folder / "alerts.yaml").write_text(ALERTS.format(url=duty.url))
    topic, crowd = broker.topic(PARTITIONS), broker.topic(1)
    past = Days(time.time() - 2 * DAY, 2 * DAY, (0.0, 0.0), args.visitors, 5, PREFIX)
    broker.produce(topic, [record for _, record in records(past.partitions())])
    options = (
        "--journey", str(folder / "spike.yaml"), "--journey", "checkout",
        "--alerts", str(folder / "alerts.yaml"),
    )  # fmt: skip
    source = f"kafka://{broker.servers}/{topic},{crowd}"
    live = Live(folder / "run", source, f"chdb://{folder / 'db'}", options, PARTITIONS + 1)
    with ExitStack() as stack:
        stack.enter_context(closing(live))
        now = time.time()
        coming = Days(now, PATIENCE_SECONDS, (args.wait, PATIENCE_SECONDS), args.visitors, 6, PREFIX)
        missing = first_missing(coming)
        stack.enter_context(closing(Trickle(broker, topic, coming)))
        if args.noise:
            noise = Producer(broker.servers, crowd, args.noise, partitions=1, seed=3)
            stack.enter_context(closing(noise))
        live.start()
        found = wait(live, duty, missing)
        told = time.time()
        live.stop()
    began = datetime.fromisoformat(found["startsAt"]).timestamp()
    print(f"told {(told - missing) / 60:.1f} min after the first missing checkout", flush=True)
    return [
        f"{args.noise:,.0f}",
        f"{args.visitors:g}",
        found["labels"].get("stage", ""),
        found["labels"].get("severity", ""),
        f"{(began - missing) / 60:+.1f}",
        f"{(told - missing) / 60:.1f}",
    ]


def wait(live: Live, duty: RunningAlertmanager, missing: float) -> dict[str, Any]:
    """The alert. One from before anything was wrong is a false one, and ends this."""
    seen: list[dict[str, Any]] = []

    def came() -> bool:
        live.require_alive()
        seen[:] = [one for one in duty.alerts() if one["labels"].get("journey") == "spike"]
        if seen and time.time() < missing:
            raise LoadFailed(f"an alert before anything was wrong: {seen}")
        return bool(seen)

    until(came, "the alert", PATIENCE_SECONDS)
    return seen[0]


def main() -> int:
    """Measures and adds to the report."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--visitors", type=float, default=60.0, help="a minute, two thirds on phones")
    parser.add_argument("--wait", type=float, default=120.0, help="seconds before the drop")
    parser.add_argument("--noise", type=float, nargs="*", default=[0.0], help="events/s of others, in turn")
    parser.add_argument("--report", type=Path, default=HERE / "ALERTING.md")
    args = parser.parse_args()
    rows = []
    for noise in args.noise:
        with tempfile.TemporaryDirectory(prefix="pathline-alerting-") as name:
            folder = Path(name)
            with broker_at(None, folder / "broker") as (broker, _), an_alertmanager(folder / "duty") as duty:
                one = argparse.Namespace(**{**vars(args), "noise": noise})
                rows.append(measure(one, folder, duty, broker))
    head = [
        "events/s of others", "visitors a minute", "called at", "severity",
        "began, minutes after the first missing", "told, minutes after the first missing",
    ]  # fmt: skip
    took = [float(row[-1]) for row in rows]
    found = ", ".join(f"{minutes:.1f}" for minutes in took)
    asked = [Asked(f"told within {MINUTES_MAX:g} minutes", found, max(took) <= MINUTES_MAX)]
    what = prose(*(__doc__ or "").split("\n\n")[-1].split("\n"))
    title = "From the first missing order to an Alertmanager"
    text = page(title, "tests.load.alerting", asked, what, table(head, rows))
    return conclude(args.report, text, asked)


if __name__ == "__main__":
    raise SystemExit(main())
