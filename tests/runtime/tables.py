"""The tables of infra/prometheus/README.md; `python -m tests.runtime.tables` writes them."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML

from pipeline.runtime.metrics import METRICS

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "infra/prometheus/README.md"
RULES = ROOT / "infra/prometheus/rules.yml"


def rules() -> list[dict[str, Any]]:
    """The alert rules."""
    loaded = YAML(typ="safe").load(RULES.read_text())
    return [rule for group in loaded["groups"] for rule in group["rules"]]


def tables() -> dict[str, str]:
    """By the name of their marks in the page."""
    metrics = [
        _row(
            f"`{metric.full_name}`",
            _kind(metric.kind),
            " ".join(metric.labels),
            metric.unit,
            metric.meaning,
            metric.remedy,
        )
        for metric in METRICS
    ]
    alerts = [
        _row(
            f"[{rule['alert']}](../runbooks/{Path(rule['annotations']['runbook']).name})",
            rule["labels"]["severity"],
            rule.get("for", "at once"),
            f"`{' '.join(rule['expr'].split())}`",
        )
        for rule in rules()
    ]
    return {
        "metrics": "\n".join(
            [
                "| metric | kind | labels | unit | what it is | and then |",
                "|---|---|---|---|---|---|",
                *metrics,
            ]
        ),
        "alerts": "\n".join(["| alert | | for | when |", "|---|---|---|---|", *alerts]),
    }


def _row(*cells: str) -> str:
    return f"| {' | '.join(cells)} |"


def _kind(kind: str) -> str:
    return "counter" if kind == "counter" else "gauge"


def page(text: str) -> str:
    """The page with its tables as they should be."""
    for name, table in tables().items():
        marks = f"<!-- {name} -->"
        text = re.sub(
            f"{marks}\n.*?{marks}", lambda _, t=table, m=marks: f"{m}\n{t}\n{m}", text, flags=re.DOTALL
        )
    return text


if __name__ == "__main__":
    PAGE.write_text(page(PAGE.read_text()))
