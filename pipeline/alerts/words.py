"""Figures and times as people read them in a message."""

from __future__ import annotations

import math
from datetime import UTC, datetime

from pipeline.alerts.alert import Alert


def percent(share: float) -> str:
    """One decimal place; what is not nothing never reads as 0.0%."""
    if 0 < share < 0.001:
        return "under 0.1%"
    if 0.999 < share < 1:
        return "over 99.9%"
    return f"{share:.1%}"


def number(value: float) -> str:
    """Three significant figures, and no more than a count has."""
    if not math.isfinite(value):
        return "unknown"
    if abs(value) >= 10 or value == int(value):
        return f"{value:,.0f}"
    return f"{value:.1f}" if abs(value) >= 1 else f"{value:.2g}"


def money(value: float, currency: str) -> str:
    return f"{number(value)} {currency}".rstrip()


def minutes(seconds: float) -> str:
    """A span of time: 46 min, 3 h 10 min."""
    whole = max(1, round(seconds / 60))
    hours, rest = divmod(whole, 60)
    if not hours:
        return f"{rest} min"
    return f"{hours} h {rest} min" if rest else f"{hours} h"


def moment(at: float) -> str:
    return f"{datetime.fromtimestamp(at, UTC):%Y-%m-%d %H:%M} UTC"


def iso(at: float) -> str:
    """For machines: 2026-11-27T10:05:00Z."""
    return f"{datetime.fromtimestamp(at, UTC):%Y-%m-%dT%H:%M:%SZ}"


def scope(segment: str) -> str:
    """Both parts of a pair belong together: a comma would read as a list of two."""
    return segment.replace(", ", " and ") or "everybody"


def place(alert: Alert) -> str:
    """Where it is: checkout › payment, device=mobile."""
    step = f"{alert.journey} › {alert.stage}"
    return f"{step}, {scope(alert.segment)}" if alert.segment else step
