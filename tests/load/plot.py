"""Series over time as an SVG: panels below each other, one axis of minutes for all. Text alone, no
library.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from typing import Final

WIDTH: Final = 900
HEIGHT: Final = 150
LEFT: Final = 80
RIGHT: Final = 20
HEAD: Final = 34
FOOT: Final = 40
GAP: Final = 34
COLORS: Final = ("#1f77b4", "#d62728", "#2ca02c", "#9467bd")
POINTS_MAX: Final = 1_200


@dataclass(frozen=True)
class Series:
    """A line: minutes and values."""

    name: str
    minutes: Sequence[float]
    values: Sequence[float]


@dataclass(frozen=True)
class Panel:
    """Lines of one unit, from 0 up."""

    title: str
    series: Sequence[Series]


@dataclass(frozen=True)
class Band:
    """A stretch of time that is shaded in all panels."""

    name: str
    begin: float
    end: float


def svg(title: str, panels: Sequence[Panel], bands: Sequence[Band] = ()) -> str:
    """The picture."""
    last = max((minute for panel in panels for one in panel.series for minute in one.minutes), default=1.0)
    last = max(last, 1e-3)
    height = HEAD + len(panels) * (HEIGHT + GAP) + FOOT
    out = [
        (
            f'<svg xmlns="http://www.w3.org/2000/svg" width="{WIDTH}" height="{height}" '
            f'viewBox="0 0 {WIDTH} {height}" font-family="sans-serif" font-size="11">'
        ),
        f'<rect width="{WIDTH}" height="{height}" fill="white"/>',
        f'<text x="{LEFT}" y="18" font-size="14">{escape(title)}</text>',
    ]
    for number, panel in enumerate(panels):
        out += _panel(panel, HEAD + number * (HEIGHT + GAP) + 16, last, bands)
    out.append(f'<text x="{WIDTH // 2}" y="{height - 8}" text-anchor="middle">minutes</text>')
    return "\n".join([*out, "</svg>", ""])


def _panel(panel: Panel, top: float, last: float, bands: Sequence[Band]) -> list[str]:
    most = max((value for one in panel.series for value in one.values), default=0.0)
    step = nice_step(most, 4)
    most = max(step, math.ceil(most / step) * step)
    across, bottom = WIDTH - LEFT - RIGHT, top + HEIGHT
    out = [f'<text x="{LEFT}" y="{top - 5}" font-weight="bold">{escape(panel.title)}</text>']
    for band in bands:
        x, width = LEFT + band.begin / last * across, (band.end - band.begin) / last * across
        out.append(f'<rect x="{x:.1f}" y="{top}" width="{width:.1f}" height="{HEIGHT}" fill="#eeeeee"/>')
        out.append(f'<text x="{x + 4:.1f}" y="{top + 12}" fill="#777777">{escape(band.name)}</text>')
    for k in range(round(most / step) + 1):
        y = bottom - k * step / most * HEIGHT
        out.append(f'<path d="M{LEFT} {y:.1f}H{WIDTH - RIGHT}" stroke="#dddddd"/>')
        out.append(f'<text x="{LEFT - 6}" y="{y + 4:.1f}" text-anchor="end">{k * step:,.6g}</text>')
    minutes = nice_step(last, 8)
    for k in range(int(last / minutes) + 1):
        x = LEFT + k * minutes / last * across
        out.append(f'<text x="{x:.1f}" y="{bottom + 13}" text-anchor="middle">{k * minutes:g}</text>')
    for number, one in enumerate(panel.series):
        color = COLORS[number % len(COLORS)]
        places = [
            f"{LEFT + minute / last * across:.1f},{bottom - max(value, 0) / most * HEIGHT:.1f}"
            for minute, value in _thinned(one)
        ]
        out.append(f'<polyline points="{" ".join(places)}" fill="none" stroke="{color}" stroke-width="1.2"/>')
        x = WIDTH - RIGHT - 110 * (len(panel.series) - number)
        out.append(f'<text x="{x}" y="{top - 5}" fill="{color}">{escape(one.name)}</text>')
    return out


def _thinned(series: Series) -> list[tuple[float, float]]:
    """As many points as can be told apart, each the highest of its neighbours: no peak is lost."""
    pairs = list(zip(series.minutes, series.values, strict=True))
    each = -(-len(pairs) // POINTS_MAX) or 1
    return [max(pairs[k : k + each], key=lambda pair: pair[1]) for k in range(0, len(pairs), each)]


def nice_step(most: float, steps: int) -> float:
    """1, 2 or 5 times a power of ten, so that some `steps` of them reach `most`."""
    if most <= 0:
        return 1.0
    rough = most / steps
    power = 10.0 ** math.floor(math.log10(rough))
    return next(nice * power for nice in (1, 2, 5, 10) if nice * power >= rough * 0.999)
