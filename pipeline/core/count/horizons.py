"""After how many minutes it is asked who has gone on."""

from __future__ import annotations

from typing import Final

HORIZONS_MINUTES: Final = (1, 2, 5, 10, 20, 30, 60)
"""Candidates. Each step uses one: the shortest by which most of those who go on have gone on."""
