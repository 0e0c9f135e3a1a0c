"""Days of visitors with an hour of trouble in them: made up, without the product's own simulator."""

from __future__ import annotations

import json
import random
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

DAY: Final = 86_400
WAY: Final = (("view_item", 0.8), ("add_to_cart", 0.6), ("begin_checkout", 0.6), ("purchase", 0.7))
PARTITIONS: Final = 2


@dataclass(frozen=True)
class Days:
    """Visitors by chance, so many a minute and two thirds of them on phones. In the `drop` nobody on a phone
    gets from the cart to the checkout. Times are seconds after `begin`, which is in unix seconds.
    """

    begin: float
    seconds: float
    drop: tuple[float, float]
    visitors_per_minute: float = 12.0
    seed: int = 5
    prefix: str = ""  # of ids and of the names of events

    def partitions(self) -> list[list[dict[str, Any]]]:
        """Their events, each partition in the order of time."""
        chance = random.Random(self.seed)
        parts: list[list[dict[str, Any]]] = [[] for _ in range(PARTITIONS)]
        at, number = 0.0, 0
        while (at := at + chance.expovariate(self.visitors_per_minute / 60)) < self.seconds:
            number += 1
            device = "mobile" if chance.random() < 2 / 3 else "desktop"
            parts[number % PARTITIONS] += self._visitor(number, at, device, chance)
        for events in parts:
            events.sort(key=lambda event: str(event["event_at"]))
        return parts

    def files(self, folder: Path) -> tuple[Path, ...]:
        """The same as files."""
        files = []
        for number, events in enumerate(self.partitions()):
            file = folder / f"part-{number}.jsonl"
            file.write_text("".join(json.dumps(event) + "\n" for event in events))
            files.append(file)
        return tuple(files)

    def on_phones_with_carts(self) -> int:
        """Who filled a cart on a phone in the time of the drop."""
        first, last = (self.at(second) for second in self.drop)
        return sum(
            event["event"] == "add_to_cart"
            and event["device"] == "mobile"
            and first <= event["event_at"] < last
            for events in self.partitions()
            for event in events
        )

    def at(self, second: float) -> str:
        """A moment as events tell it."""
        return datetime.fromtimestamp(self.begin + second, UTC).isoformat(timespec="milliseconds")

    def _visitor(self, number: int, at: float, device: str, chance: random.Random) -> list[dict[str, Any]]:
        """What one visitor does, until they leave or the time is over."""
        said = [("page_view", at)]
        for event, share in WAY:
            at += chance.expovariate(1 / 25)
            is_stopped = (
                event == "begin_checkout" and device == "mobile" and self.drop[0] <= at < self.drop[1]
            )
            if chance.random() > share or is_stopped:
                break
            said.append((event, at))
        return [
            {
                "event_id": f"{self.prefix}{self.seed}-{number}-{event}",
                "visitor_id": f"{self.prefix}v{self.seed}-{number}",
                "event": self.prefix + event,
                "event_at": self.at(second),
                "device": device,
                "value": 80.0,
                "currency": "EUR",
            }
            for event, second in said
            if second < self.seconds
        ]
