"""Fixtures: a real broker, one for each test process, started when the first test asks for it.

`KAFKA_BOOTSTRAP_SERVERS`, else Java (its jars come through mvn), else Docker. Where there is none the tests
are skipped, and the summary says so loudly; with CI=true or PATHLINE_REQUIRE_KAFKA=1 they fail.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest

from tests.kafka.broker import Broker
from tests.kafka.docker import DockerBroker
from tests.kafka.jars import NoBroker
from tests.kafka.topics import Topics

NO_BROKER: Final = "no Kafka broker"


@pytest.fixture(scope="session")
def broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Topics]:
    """A broker to write to and read from. All tests of a process share it: take topics of your own."""
    given = os.environ.get("KAFKA_BOOTSTRAP_SERVERS")
    if given:
        yield Topics(given)
        return
    missing: list[str] = []
    for own in (_java, _docker):
        try:
            yield from own(tmp_path_factory)
        except NoBroker as reason:
            missing.append(str(reason))
        else:
            return
    told = f"{NO_BROKER}: {'; '.join(missing)}"
    if os.environ.get("CI") == "true" or os.environ.get("PATHLINE_REQUIRE_KAFKA") == "1":
        pytest.fail(f"{told}, and it is required here", pytrace=False)
    pytest.skip(told)


@pytest.fixture
def killable(broker: Topics) -> Iterator[Broker | DockerBroker]:
    """The same broker for a test that kills or stops it; afterwards it runs again."""
    if not isinstance(broker, Broker | DockerBroker):
        pytest.skip("this broker is not ours to kill")
    yield broker
    if not broker.is_running:
        broker.restart()


def _java(folders: pytest.TempPathFactory) -> Iterator[Topics]:
    folder: Path = folders.mktemp("kafka")
    broker = Broker(folder / "broker")
    try:
        broker.start()
        yield broker
    finally:
        broker.stop()
        shutil.rmtree(folder, ignore_errors=True)


def _docker(_: pytest.TempPathFactory) -> Iterator[Topics]:
    broker = DockerBroker()
    try:
        broker.start()
        yield broker
    finally:
        broker.remove()


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """One line that nobody overlooks."""
    reasons = [
        report.longrepr[2]
        for report in terminalreporter.stats.get("skipped", [])
        if isinstance(report.longrepr, tuple) and NO_BROKER in report.longrepr[2]
    ]
    if reasons:
        told = reasons[0].removeprefix("Skipped: ")
        terminalreporter.write_line(
            f"KAFKA NOT TESTED: {len(reasons)} tests skipped, {told} (install Java 17 and Maven, or set "
            "KAFKA_BOOTSTRAP_SERVERS)",
            red=True,
            bold=True,
        )
