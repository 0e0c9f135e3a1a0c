"""Every metric is declared once and explained; every alert asks for such, is tried, and has a page."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest

from pipeline.runtime import metrics
from pipeline.runtime.exposition import text
from pipeline.runtime.metrics import METRICS
from tests.runtime.tables import PAGE, ROOT, page, rules

NAMES = {metric.full_name: metric for metric in METRICS}
OF_PROMETHEUS = {"up"}
ASKED = re.compile(r"\bpathline_\w+|\bup\b")

alerts = pytest.mark.parametrize("rule", rules(), ids=lambda rule: rule["alert"])


def test_names_are_those_that_prometheus_advises() -> None:
    assert len(NAMES) == len(METRICS) > 30
    for metric in METRICS:
        assert re.fullmatch(r"[a-z][a-z_]+", metric.name)
        assert (metric.kind == "counter") == metric.name.endswith("_total"), metric.name
        assert metric.unit
        assert metric.meaning
        assert metric.remedy
        if metric.unit in ("bytes", "seconds"):
            assert f"_{metric.unit}" in metric.name, metric.name


def test_nobody_else_makes_a_metric() -> None:
    for path in (ROOT / "pipeline").rglob("*.py"):
        text = path.read_text()
        assert (
            path.name in ("exposition.py", "health.py") or "prometheus_client" not in text.split('"""', 2)[2]
        )
        assert path.name == "metrics.py" or not re.search(r"\bMetric\(", text), path


def test_the_page_has_all_that_is_declared() -> None:
    assert PAGE.read_text() == page(PAGE.read_text()), "python -m tests.runtime.tables writes it"


def test_metrics_that_pages_and_rules_name_are_declared() -> None:
    roles = re.findall(r"\bpathline_[a-z_]+", (ROOT / "sinks/clickhouse/sql/roles.sql").read_text())
    known = {*NAMES, *roles}
    for path in (
        *ROOT.glob("infra/**/*.md"),
        *ROOT.glob("infra/prometheus/*.yml"),
        *ROOT.glob("*/README.md"),
    ):
        for name in re.findall(r"\bpathline_[a-z_]+", path.read_text()):
            assert name in known, f"{path}: {name}"


@alerts
def test_an_alert_asks_for_declared_metrics_by_their_labels(rule: dict[str, str]) -> None:
    expr = rule["expr"]
    asked = set(ASKED.findall(expr))
    assert asked - OF_PROMETHEUS
    assert asked - OF_PROMETHEUS <= set(NAMES)
    for name, labels in re.findall(r"(pathline_\w+)\{([^}]*)\}", expr):
        for label in re.findall(r"(\w+)\s*=", labels):
            assert label in {"job", "instance", *NAMES[name].labels}, f"{name}: {label}"
    for counter in re.findall(r"(?:rate|increase)\((\w+)", expr):
        assert NAMES[counter].kind == "counter"
    for gauge in re.findall(r"(?:delta|deriv|predict_linear|changes)\((\w+)", expr):
        assert NAMES[gauge].kind != "counter"


@alerts
def test_an_alert_has_a_page_that_says_what_to_do(rule: dict[str, dict[str, str]]) -> None:
    book = (ROOT / rule["annotations"]["runbook"]).read_text()
    assert book.startswith(f"# {rule['alert']}\n")
    headings = re.findall(r"^## (.*)$", book, re.MULTILINE)
    assert headings == ["Look here", "Do this", "Undo"]
    for part in re.split(r"^#.*$", book, flags=re.MULTILINE)[1:]:
        assert len(part.split()) > 5
    assert rule["labels"]["severity"] in ("page", "ticket")


def test_every_page_belongs_to_an_alert() -> None:
    books = {str(path.relative_to(ROOT)) for path in (ROOT / "infra/runbooks").glob("*.md")}
    assert books == {rule["annotations"]["runbook"] for rule in rules()}


@alerts
def test_an_alert_is_tried(rule: dict[str, str]) -> None:
    tried = (ROOT / "infra/prometheus/rules_test.yml").read_text()
    assert f"alertname: {rule['alert']}\n        exp_alerts:\n" in tried


@pytest.mark.parametrize("command", ["check rules rules.yml", "test rules rules_test.yml"])
def test_promtool_agrees(command: str) -> None:
    tool = shutil.which("promtool")
    if tool is None:
        pytest.skip("NOT TRIED: no promtool here (Debian: apt-get install prometheus)")
    done = subprocess.run([tool, *command.split()], cwd=PAGE.parent, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "SUCCESS" in done.stdout


def test_promtool_can_read_what_is_served(tmp_path: Path) -> None:
    tool = shutil.which("promtool")
    if tool is None:
        pytest.skip("NOT TRIED: no promtool here (Debian: apt-get install prometheus)")
    samples = {metric.name: {tuple('a"\\\n' for _ in metric.labels): 1.5} for metric in METRICS}
    done = subprocess.run([tool, "check", "metrics"], input=text(samples), capture_output=True)
    complaints = done.stdout.decode() + done.stderr.decode()
    assert done.returncode == 0, complaints
    assert metrics.BUILD_INFO.full_name.encode() in text(samples)
