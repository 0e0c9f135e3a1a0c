"""Fixture: a real Alertmanager on 127.0.0.1, in a folder of its own.

Debian's `prometheus-alertmanager`, or an `alertmanager` on the path. Where there is none the tests are
skipped, and the summary says so loudly; with CI=true or PATHLINE_REQUIRE_ALERTMANAGER=1 they fail.
"""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final
from urllib.request import ProxyHandler, build_opener

import pytest

NO_ALERTMANAGER: Final = "no Alertmanager"
NAMES: Final = ("prometheus-alertmanager", "alertmanager")
START_SECONDS_MAX: Final = 20.0
CONFIG: Final = "route: {receiver: nobody, group_by: [alert_id]}\nreceivers: [{name: nobody}]\n"
_OPEN: Final = build_opener(ProxyHandler({})).open


@dataclass(frozen=True)
class RunningAlertmanager:
    url: str

    def alerts(self) -> list[Any]:
        """Those that fire."""
        with _OPEN(f"{self.url}/api/v2/alerts", timeout=5) as answer:
            return list(json.load(answer))

    def wait_for(self, count: int) -> list[Any]:
        """The alerts that fire, once there are so many."""
        until = time.monotonic() + 10
        while len(found := self.alerts()) != count and time.monotonic() < until:
            time.sleep(0.05)
        return found


@pytest.fixture(scope="session")
def alertmanager(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningAlertmanager]:
    """One for all tests of a process: take alert ids of your own."""
    if program() is None:
        if os.environ.get("CI") == "true" or os.environ.get("PATHLINE_REQUIRE_ALERTMANAGER") == "1":
            pytest.fail(f"{NO_ALERTMANAGER}, and it is required here", pytrace=False)
        pytest.skip(NO_ALERTMANAGER)
    with an_alertmanager(tmp_path_factory.mktemp("alertmanager")) as running:
        yield running


def program() -> str | None:
    """The Alertmanager of this machine."""
    return next((found for name in NAMES if (found := shutil.which(name))), None)


@contextmanager
def an_alertmanager(folder: Path) -> Iterator[RunningAlertmanager]:
    """One of your own, in a folder of its own."""
    found = program()
    assert found is not None, NO_ALERTMANAGER
    folder.mkdir(exist_ok=True)
    (folder / "config.yml").write_text(CONFIG)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    with (folder / "log").open("w") as log:
        process = subprocess.Popen(
            [
                found,
                f"--config.file={folder / 'config.yml'}",
                f"--storage.path={folder / 'data'}",
                f"--web.listen-address=127.0.0.1:{port}",
                "--cluster.listen-address=",
            ],
            stdout=log,
            stderr=log,
        )
    try:
        running = RunningAlertmanager(f"http://127.0.0.1:{port}")
        _await(running, process)
        yield running
    finally:
        process.terminate()
        process.wait(10)


def _await(running: RunningAlertmanager, process: subprocess.Popen[bytes]) -> None:
    until = time.monotonic() + START_SECONDS_MAX
    while time.monotonic() < until and process.poll() is None:
        try:
            _OPEN(f"{running.url}/-/ready", timeout=1).close()
        except OSError:
            time.sleep(0.05)
        else:
            return
    pytest.fail("Alertmanager did not start", pytrace=False)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """One line that nobody overlooks."""
    reasons = [
        report
        for report in terminalreporter.stats.get("skipped", [])
        if isinstance(report.longrepr, tuple) and NO_ALERTMANAGER in report.longrepr[2]
    ]
    if reasons:
        terminalreporter.write_line(
            f"ALERTMANAGER NOT TESTED: {len(reasons)} tests skipped (apt install prometheus-alertmanager)",
            red=True,
            bold=True,
        )
