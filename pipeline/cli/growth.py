"""Looks out for new partitions of the topics that a run reads, and has it go on with them."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Final

from rich.console import Console

from pipeline.inputs import Inputs
from pipeline.runtime import stop
from pipeline.sources.kafka.partitions import Unreachable
from pipeline.sources.kafka.place import BadPlace

LOOK_SECONDS: Final = 10.0
"""How soon new partitions are found: until then their records wait at the broker."""


@contextmanager
def growing(inputs: Inputs, console: Console) -> Iterator[None]:
    """While inside, a topic that gets more partitions makes the run pause: begun anew it reads them too."""
    if not inputs.is_live or inputs.settings.addresses:
        yield
        return
    done = threading.Event()

    def look() -> None:
        while not done.wait(LOOK_SECONDS):
            with suppress(Unreachable, BadPlace):  # the readers will tell
                if inputs.has_grown():
                    console.print("the topic has new partitions: going on with them", highlight=False)
                    stop.pause()
                    return

    thread = threading.Thread(target=look, name="growth", daemon=True)
    thread.start()
    try:
        yield
    finally:
        done.set()
        thread.join()
