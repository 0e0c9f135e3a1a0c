"""What the half year costs is paid once, in whatever process it is asked for first."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.detect.once import once


def test_it_is_made_once_for_all_who_ask_at_the_same_time(tmp_path_factory: pytest.TempPathFactory) -> None:
    begun: list[Path] = []

    def make(folder: Path) -> list[Path]:
        begun.append(folder)
        time.sleep(0.1)  # so that the others come meanwhile
        return [folder]

    with ThreadPoolExecutor(4) as many:  # a lock of a file: between threads as between processes
        found = list(many.map(lambda _: once(tmp_path_factory, "for_all", make), range(4)))
    assert len(begun) == 1
    assert found == [begun] * 4


def test_what_could_not_be_made_is_tried_again(tmp_path_factory: pytest.TempPathFactory) -> None:
    with pytest.raises(ZeroDivisionError):
        once(tmp_path_factory, "again", lambda _: 1 // 0)
    assert once(tmp_path_factory, "again", lambda _: 7) == 7
