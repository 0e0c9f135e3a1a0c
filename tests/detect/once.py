"""What takes long to make is made once, also where several processes run the tests."""

from __future__ import annotations

import fcntl
import os
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

import pytest

Made = TypeVar("Made")


def once(factory: pytest.TempPathFactory, name: str, make: Callable[[Path], Made]) -> Made:
    """What `make` gives, for which it has a folder of its own: whoever comes first makes it, others wait, and
    unpickle it. What fails is tried again by the next.
    """
    shared = factory.getbasetemp()
    if "PYTEST_XDIST_WORKER" in os.environ:
        shared = shared.parent  # of one session: without workers it would be that of all
    kept = shared / f"{name}.pickle"
    with (shared / f"{name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not kept.exists():
            made = make(factory.mktemp(name))
            draft = kept.with_suffix(".part")
            draft.write_bytes(pickle.dumps(made))
            draft.replace(kept)
        found: Made = pickle.loads(kept.read_bytes())
        return found
