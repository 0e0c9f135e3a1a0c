"""Bands and intervals of an episode's figures."""

from __future__ import annotations

import math
from typing import Final

Z95: Final = 1.959964
EXACT_MOST: Final = 2_000
"""Entrants up to which a band is summed exactly; beyond it is normal to within a goer or two."""


def band(n: int, rate: float, phi: float) -> tuple[float, float]:
    """Between which rates 95 % of windows of `n` entrants lie: beta-binomial, φ × the binomial variance."""
    if n <= 0:
        return 0.0, 1.0
    if n > EXACT_MOST:
        half = Z95 * math.sqrt(phi * rate * (1.0 - rate) / n)
        return max(0.0, rate - half), min(1.0, rate + half)
    probabilities = _beta_binomial(n, rate, phi)
    total, low, high = 0.0, 0, n
    for k, probability in enumerate(probabilities):
        before, total = total, total + probability
        if before < 0.025 <= total:
            low = k
        if before < 0.975 <= total:
            high = k
    return low / n, high / n


def _beta_binomial(n: int, rate: float, phi: float) -> list[float]:
    """P(k) for k of n; φ = 1 + (n - 1) × the correlation of two who enter together."""
    rho = min((phi - 1.0) / max(1, n - 1), 0.5)
    lg = math.lgamma
    chosen = [lg(n + 1) - lg(k + 1) - lg(n - k + 1) for k in range(n + 1)]
    if rho < 1e-9:
        yes, no = math.log(rate), math.log1p(-rate)
        return [math.exp(c + k * yes + (n - k) * no) for k, c in enumerate(chosen)]
    scale = 1.0 / rho - 1.0
    a, b = rate * scale, (1.0 - rate) * scale
    whole = lg(a) + lg(b) - lg(a + b) + lg(n + a + b)
    return [math.exp(c + lg(k + a) + lg(n - k + b) - whole) for k, c in enumerate(chosen)]


def lost(n: float, k: float, expected: float, phi: float, margin: float) -> tuple[float, float, float]:
    """Goers lost, with an interval for chance and for what is not known of the expected rate."""
    rate = min(expected / n, 1.0) if n else 0.0
    half = math.hypot(Z95 * math.sqrt(phi * expected * (1.0 - rate)), margin * expected)
    value = max(0.0, expected - k)
    return value, max(0.0, expected - k - half), max(0.0, expected - k + half)
