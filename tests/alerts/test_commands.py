"""`pathline alerts check`, `test`, `deliver`, `list`, `snooze`, as people type them."""

from __future__ import annotations

import signal
import subprocess
import time
from dataclasses import replace
from pathlib import Path

import pytest

from tests.alerts.database import holding
from tests.alerts.http_server import Receiver
from tests.alerts.made import ALERT, SECRET
from tests.cli import run
from tests.cli.inside import pathline
from tests.cli.run import COMMAND, ENVIRONMENT, mended


def definition(folder: Path, url: str, more: str = "") -> None:
    (folder / "alerts.yaml").write_text(
        "alerts: ours\nhold: 1s\nroutes:\n"
        f'  - {{name: hook, type: webhook, url: "{url}", secret: "${{HOOK}}", from: info}}\n{more}'
    )


def test_check_says_who_would_be_told(tmp_path: Path) -> None:
    definition(tmp_path, "http://127.0.0.1:9", "heartbeat: {url: https://beat.test/x, every: 1m}\n")
    done = run.pathline("alerts", "check", "./alerts.yaml", cwd=tmp_path, HOOK=SECRET)
    assert done.returncode == 0, done.stderr
    first, *_, last = done.stdout.splitlines()
    assert first == "alerts ours: drop, silence, abandonment; at most 1 false pages a week"
    assert "heartbeat every 60 s to https://beat.test/x" in done.stdout
    assert last.split() == ["hook", "webhook", "http://127.0.0.1:9", "info", "all", "none"]
    assert SECRET not in done.stdout


def test_check_finds_what_is_missing(tmp_path: Path) -> None:
    definition(
        tmp_path, "http://127.0.0.1:9", '  - {name: bad, type: kafka, dsn: "kafka://k:1?prefix=a/b"}\n'
    )
    first, _, second, _ = mended(pathline("alerts", "check", "./alerts.yaml", cwd=tmp_path))
    assert first == "route hook: ${HOOK} is not set"
    assert second.startswith("route bad: kafka://k:1?prefix=a/b: no topic can begin with")


def test_check_without_routes_and_from_the_environment(tmp_path: Path) -> None:
    done = pathline("alerts", "check", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "no routes: nobody is told" in done.stdout
    (tmp_path / "alerts.yaml").write_text("alerts: [x]\n")
    (line, *_) = pathline(
        "alerts", "check", cwd=tmp_path, PATHLINE_ALERTS="./alerts.yaml"
    ).stderr.splitlines()
    assert line.startswith("./alerts.yaml:1: the name of the definition must be text")


def test_test_sends_an_alert_and_its_end(tmp_path: Path) -> None:
    with Receiver() as receiver:
        definition(tmp_path, receiver.url)
        done = pathline("alerts", "test", "hook", "--alerts", "./alerts.yaml", cwd=tmp_path, HOOK=SECRET)
        assert (done.returncode, done.stdout) == (
            0,
            "firing: delivered: 200 ok\nresolved: delivered: 200 ok\n",
        )
        first, last = (request.json for request in receiver.requests)
        assert [first["kind"], last["kind"]] == ["firing", "resolved"]
        assert first["is_test"] is True
        receiver.status, receiver.body = 403, f"not with {SECRET}".encode()
        done = pathline("alerts", "test", "hook", "--alerts", "./alerts.yaml", cwd=tmp_path, HOOK=SECRET)
        assert (done.returncode, done.stdout) == (1, "firing: failed: 403 not with ***\n")


def test_a_route_that_is_not_there(tmp_path: Path) -> None:
    definition(tmp_path, "http://127.0.0.1:9")
    lines = mended(pathline("alerts", "test", "hok", "--alerts", "./alerts.yaml", cwd=tmp_path))
    assert lines == ["./alerts.yaml: there is no route 'hok'", "  hint: did you mean 'hook'?"]


def test_deliver_tells_and_list_shows_it(tmp_path: Path) -> None:
    now = float(int(time.time()))
    one = replace(ALERT, started_at=now - 600, detected_at=now - 60)
    dsn = holding([one])
    where = ("--clickhouse", dsn, "--state", "state")
    with Receiver() as receiver:
        definition(tmp_path, receiver.url)
        nothing = pathline("alerts", "list", *where, cwd=tmp_path)
        assert "nobody was told" in nothing.stdout, nothing.stderr
        assert not (tmp_path / "state").exists(), "to look leaves nothing behind"
        told = pathline(
            "alerts", "deliver", "--once", "--alerts", "./alerts.yaml", *where, cwd=tmp_path, HOOK=SECRET
        )
        assert told.returncode == 0, told.stderr
        assert receiver.requests == [], "no run is going on here: the alert is held"
        assert "no run is going on" in pathline("alerts", "list", *where, cwd=tmp_path).stdout
        time.sleep(1.1)  # as long as the definition holds alerts
        told = pathline(
            "alerts", "deliver", "--once", "--alerts", "./alerts.yaml", *where, cwd=tmp_path, HOOK=SECRET
        )
        assert told.returncode == 0, told.stderr
        (request,) = receiver.requests
        assert request.json["unwell"] == "no run is going on"
        assert "alert_told" in told.stderr
    done = pathline("alerts", "list", *where, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    head, line = done.stdout.splitlines()
    assert head.startswith(f"{one.alert_id} firing critical drop at checkout › payment since ")
    assert line.split()[:4] == ["hook", "firing", "v1", "told"]
    assert line.rstrip().endswith("200 ok")


def test_deliver_goes_on_until_it_is_stopped(tmp_path: Path) -> None:
    now = float(int(time.time()))
    dsn = holding([replace(ALERT, started_at=now - 600, detected_at=now - 60)])
    with Receiver() as receiver:
        definition(tmp_path, receiver.url)
        command = [
            "alerts",
            "deliver",
            "--alerts",
            "./alerts.yaml",
            "--clickhouse",
            dsn,
            "--every-seconds",
            "0.2",
        ]
        process = subprocess.Popen(
            [*COMMAND, *command],
            cwd=tmp_path,
            env=ENVIRONMENT | {"HOOK": SECRET},
            stderr=subprocess.PIPE,
            text=True,
        )
        try:
            until = time.monotonic() + 60
            while not receiver.requests and time.monotonic() < until and process.poll() is None:
                time.sleep(0.05)
            assert len(receiver.requests) == 1
            second = pathline(*command, cwd=tmp_path, HOOK=SECRET)
            assert "another process delivers alerts already" in mended(second)[0]
        finally:
            process.send_signal(signal.SIGTERM)
            _, said = process.communicate(timeout=30)
        assert process.returncode == 0, said
        assert SECRET not in said
        assert "Traceback" not in said


def test_deliver_needs_somebody_to_tell(tmp_path: Path) -> None:
    lines = mended(pathline("alerts", "deliver", cwd=tmp_path))
    assert lines[0] == "default: there are no routes"


def test_snoozes_are_made_shown_and_ended(tmp_path: Path) -> None:
    (tmp_path / "state").mkdir()

    def snooze(*arguments: str) -> subprocess.CompletedProcess[str]:
        return pathline("alerts", "snooze", "--state", "state", *arguments, cwd=tmp_path)

    made = snooze(
        "--journey", "checkout", "--stage", "payment", "--until", "2100-01-01T08:00", "--note", "a release"
    )
    assert made.stdout == "snooze 1: journey checkout, stage payment until 2100-01-01 08:00 UTC: a release\n"
    assert snooze().stdout == made.stdout
    assert snooze("--remove", "1").stdout == "snooze 1 is over\n"
    assert snooze().stdout == "nothing is snoozed\n"
    assert snooze("--segment", "device=mobile", "--for", "2h").returncode == 0


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--for", "2h"], "what to snooze is missing"),
        (["--stage", "payment"], "how long is missing, or there twice"),
        (["--stage", "payment", "--for", "long"], "--for: 'long' is no duration"),
        (["--stage", "payment", "--until", "2001-01-01"], "--until: 2001-01-01 is over"),
        (["--stage", "payment", "--until", "noon"], "--until: 'noon' is no time"),
        (["--remove", "9"], "--remove: there is no snooze 9"),
        (["--state", "nowhere"], "--state: nowhere: no such folder"),
    ],
)
def test_snoozes_that_make_no_sense(arguments: list[str], said: str, tmp_path: Path) -> None:
    (tmp_path / "pathline-data" / "state").mkdir(parents=True)
    assert mended(pathline("alerts", "snooze", *arguments, cwd=tmp_path))[0] == said


def test_a_database_without_alerts(tmp_path: Path) -> None:
    lines = mended(pathline("alerts", "list", "--clickhouse", f"chdb://{tmp_path / 'none'}", cwd=tmp_path))
    assert "there is no database" in lines[0]


@pytest.mark.parametrize(
    "told",
    [
        "routes:\n  - {name: hook, type: webhook, url: 'http://127.0.0.1:9', secret: '${HOOK}'}\n",
        "heartbeat: {url: 'https://beat.test/x', every: 1m}\n",
    ],
    ids=["routes", "a heartbeat alone"],
)
def test_a_run_that_nobody_could_ask_for_alerts_is_refused_at_once(told: str, tmp_path: Path) -> None:
    (tmp_path / "alerts.yaml").write_text(f"alerts: ours\n{told}")
    (tmp_path / "events.jsonl").touch()
    options = ("--input", "events.jsonl", "--alerts", "./alerts.yaml", "--clickhouse", "null:")
    lines = mended(pathline("run", *options, "--state", "state", cwd=tmp_path, HOOK=SECRET))
    assert lines == [
        "--alerts: its routes and its heartbeat go by what a database says, and --clickhouse names none",
        "  hint: write into ClickHouse, or leave routes and heartbeat out",
    ]
    assert not (tmp_path / "state").exists()
