"""What a courier counts, for whoever shows its numbers: nothing here knows how."""

from __future__ import annotations

from typing import Protocol


class Meter(Protocol):
    """Told of everything that a courier does, from any of its threads. Moments are unix seconds."""

    def read(self, now: float) -> None:
        """Alerts were read."""

    def waits(self, route: str, since: float, held: int) -> None:
        """What a route has not had: since when the oldest notice is tried (0: none is), and how many are held
        because the pipeline is unwell.
        """

    def delivered(self, route: str) -> None:
        """A route took a notice that it had not had."""

    def failed(self, route: str) -> None:
        """An attempt failed, be it to say again what a route has had."""

    def dropped(self, route: str, outcome: str) -> None:
        """A notice is not tried any more: it was refused, or is given up."""

    def beat(self, now: float) -> None:
        """A sign of life was taken."""


class Unmetered:
    """Where nobody asks."""

    def read(self, now: float) -> None:
        pass

    def waits(self, route: str, since: float, held: int) -> None:
        pass

    def delivered(self, route: str) -> None:
        pass

    def failed(self, route: str) -> None:
        pass

    def dropped(self, route: str, outcome: str) -> None:
        pass

    def beat(self, now: float) -> None:
        pass
