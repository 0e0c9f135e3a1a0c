"""A week as an SVG: a panel per step with what was expected and what was seen, incidents, and episodes below.

Text alone, no library: the same week gives the same bytes.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from html import escape
from typing import Final

import numpy as np
from numpy.typing import NDArray

from pipeline.lab.market import DAY, WEEK

WIDTH: Final = 1_120
HEIGHT: Final = 118
LEFT: Final = 64
RIGHT: Final = 16
HEAD: Final = 52
FOOT: Final = 34
GAP: Final = 46
BAR: Final = 7
BUCKET: Final = 15
"""Minutes per point."""
SEEN: Final = "#1f4e79"
EXPECTED: Final = "#e0a030"
INCIDENT: Final = "#f4d9d6"
FIRING: Final = "#c0392b"
FALSE: Final = "#8e44ad"


@dataclass(frozen=True)
class Span:
    """A stretch of time in a panel; `end` may lie beyond the picture."""

    begin: int
    end: int
    text: str
    is_false: bool = False


@dataclass(frozen=True)
class Panel:
    """One step: counts per minute from the beginning of the picture; `expected` may be missing."""

    title: str
    seen: NDArray[np.int64]
    expected: NDArray[np.float64] | None
    incidents: Sequence[Span]
    episodes: Sequence[Span]


def svg(title: str, begin: int, panels: Sequence[Panel], minutes: int = WEEK) -> str:
    """The picture of `minutes` from `begin` (unix minute)."""
    height = HEAD + len(panels) * (HEIGHT + GAP) + FOOT
    out = [
        (
            f'<svg xmlns="http://www.w3.org/2000/svg" width="{WIDTH}" height="{height}" '
            f'viewBox="0 0 {WIDTH} {height}" font-family="sans-serif" font-size="11">'
        ),
        f'<rect width="{WIDTH}" height="{height}" fill="white"/>',
        f'<text x="{LEFT}" y="18" font-size="14">{escape(title)}</text>',
        *_legend(),
    ]
    for number, panel in enumerate(panels):
        out += _panel(panel, HEAD + 14 + number * (HEIGHT + GAP), begin, minutes)
    return "\n".join([*out, "</svg>", ""])


def _legend() -> list[str]:
    out, x = [], LEFT
    named = (
        ("seen", SEEN),
        ("expected", EXPECTED),
        ("incident", INCIDENT),
        ("episode", FIRING),
        ("false episode", FALSE),
    )
    for text, color in named:
        out.append(f'<rect x="{x}" y="26" width="14" height="8" fill="{color}"/>')
        out.append(f'<text x="{x + 19}" y="34">{text}</text>')
        x += 40 + 7 * len(text)
    return [
        *out,
        f'<text x="{x}" y="34" fill="#777777">who went on, by {BUCKET} minutes of their entry</text>',
    ]


def _panel(panel: Panel, top: float, begin: int, minutes: int) -> list[str]:
    seen = _buckets(panel.seen, minutes)
    expected = _buckets(panel.expected, minutes) if panel.expected is not None else None
    most = max(float(seen.max(initial=0)), float(expected.max(initial=0)) if expected is not None else 0)
    step = nice_step(most, 3)
    most = max(step, math.ceil(most / step) * step)
    bottom = top + HEIGHT
    out = [f'<text x="{LEFT}" y="{top - 5:.1f}" font-weight="bold">{escape(panel.title)}</text>']
    for span in panel.incidents:
        x, width = _place(span, begin, minutes)
        out.append(
            f'<rect x="{x:.1f}" y="{top}" width="{width:.1f}" height="{HEIGHT}" fill="{INCIDENT}">'
            f"<title>{escape(span.text)}</title></rect>"
        )
    out += _axes(top, bottom, most, step, begin, minutes)
    if expected is not None:
        out.append(_line(expected, most, bottom, EXPECTED, minutes))
    out.append(_line(seen, most, bottom, SEEN, minutes))
    for span in panel.episodes:
        x, width = _place(span, begin, minutes)
        color = FALSE if span.is_false else FIRING
        out.append(
            f'<rect x="{x:.1f}" y="{bottom + 2}" width="{max(width, 2):.1f}" height="{BAR}" fill="{color}">'
            f"<title>{escape(span.text)}</title></rect>"
        )
    return out


def _axes(top: float, bottom: float, most: float, step: float, begin: int, minutes: int) -> list[str]:
    out = []
    for k in range(round(most / step) + 1):
        y = bottom - k * step / most * HEIGHT
        out.append(f'<path d="M{LEFT} {y:.1f}H{WIDTH - RIGHT}" stroke="#e4e4e4"/>')
        out.append(f'<text x="{LEFT - 6}" y="{y + 4:.1f}" text-anchor="end">{k * step:,.6g}</text>')
    for day in range(-(-begin // DAY), (begin + minutes) // DAY + 1):
        x = _x(day * DAY, begin, minutes)
        out.append(f'<path d="M{x:.1f} {top}V{bottom}" stroke="#cccccc"/>')
        if day * DAY < begin + minutes:
            name = datetime.fromtimestamp(day * DAY * 60, UTC)
            out.append(
                f'<text x="{x + 3:.1f}" y="{bottom + BAR + 14:.1f}" fill="#555555">{name:%a %d %b}</text>'
            )
    return out


def _x(minute: float, begin: int, minutes: int) -> float:
    return LEFT + (minute - begin) / minutes * (WIDTH - LEFT - RIGHT)


def _place(span: Span, begin: int, minutes: int) -> tuple[float, float]:
    """Where it starts and how wide it is, cut to the picture."""
    first, last = max(span.begin, begin), min(span.end, begin + minutes)
    x = _x(first, begin, minutes)
    return x, max(0.0, _x(last, begin, minutes) - x)


def _buckets(values: NDArray[np.int64] | NDArray[np.float64], minutes: int) -> NDArray[np.float64]:
    whole = values[: min(len(values), minutes) // BUCKET * BUCKET]
    return np.asarray(whole.reshape(-1, BUCKET).sum(axis=1), np.float64)


def _line(values: NDArray[np.float64], most: float, bottom: float, color: str, minutes: int) -> str:
    points = " ".join(
        f"{_x((k + 0.5) * BUCKET, 0, minutes):.1f},{bottom - value / most * HEIGHT:.1f}"
        for k, value in enumerate(values)
    )
    return f'<polyline points="{points}" fill="none" stroke="{color}" stroke-width="1.1"/>'


def nice_step(most: float, steps: int) -> float:
    """1, 2 or 5 times a power of ten, so that some `steps` of them reach `most`."""
    if most <= 0:
        return 1.0
    rough = most / steps
    power = 10.0 ** math.floor(math.log10(rough))
    return next(nice * power for nice in (1, 2, 5, 10) if nice * power >= rough * 0.999)
