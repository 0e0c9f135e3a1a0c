"""What the end-to-end tests share: streams of W1 by their size and seed, written once."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from pathlib import Path

import pytest

from tests import w1

Stream = Callable[[int, int, int], tuple[Path, ...]]


@pytest.fixture(scope="session")
def stream(tmp_path_factory: pytest.TempPathFactory) -> Stream:
    """`stream(sessions, seed, files)`: the files of a W1, each visitor in one of them. Not to be changed."""

    @cache
    def written(sessions: int, seed: int, files: int) -> tuple[Path, ...]:
        folder = tmp_path_factory.mktemp(f"w1-{sessions}-{seed}")
        paths = tuple(folder / f"events-{number}.jsonl" for number in range(files))
        w1.write(paths, sessions, seed)
        return paths

    return written
