"""What a load run looks like over time: a row of numbers every so often, from outside the processes."""

from __future__ import annotations

import os
import re
import threading
import time
import urllib.request
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Final

Sample = dict[str, float]
"""Numbers of one moment; `at` is unix seconds. What could not be learned then is not in it."""

_PAGE: Final = os.sysconf("SC_PAGE_SIZE")
_TICKS: Final = os.sysconf("SC_CLK_TCK")
_LINE: Final = re.compile(r"^pathline_(\w+?)(?:\{([^}]*)\})? (\S+)$", re.MULTILINE)
_STEP: Final = re.compile(r'step="([^"]+)"')
_BY_STEP: Final = {"step_cpu_seconds_total": "step", "snapshot_bytes_total": "bytes"}
_LARGEST: Final = frozenset({"epochs_total", "epoch_seconds", "oldest_unacknowledged_seconds"})


def tree(root: int) -> list[int]:
    """A process and all that it has started, as far as they live."""
    found, ahead = [], [root]
    while ahead:
        pid = ahead.pop()
        with suppress(OSError):
            for task in Path(f"/proc/{pid}/task").iterdir():
                ahead += map(int, (task / "children").read_text().split())
            found.append(pid)
    return found


def resident_bytes(root: int) -> int:
    """Memory of a process and its children."""
    total = 0
    for pid in tree(root):
        with suppress(OSError):
            total += int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * _PAGE
    return total


def cpu_seconds(root: int) -> float:
    """CPU time of a process and its children, those that have ended included."""
    total = 0
    for pid in tree(root):
        with suppress(OSError):
            fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
            total += sum(map(int, fields[11:15]))
    return total / _TICKS


def folder_bytes(folder: Path) -> int:
    """What the files below a folder take."""
    total = 0
    for file in folder.rglob("*"):
        with suppress(OSError):  # segments come and go
            total += file.stat().st_size if file.is_file() else 0
    return total


def metrics(port: int) -> Sample:
    """What a run says of itself at /metrics: sums over labels; by step also CPU seconds (`step.NAME`) and
    bytes of snapshots (`bytes.NAME`).
    """
    out: Sample = {}
    try:
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        text = opener.open(f"http://127.0.0.1:{port}/metrics", timeout=5).read().decode()
    except OSError:
        return out
    for name, labels, value in _LINE.findall(text):
        number = float(value)
        out[name] = max(out.get(name, 0.0), number) if name in _LARGEST else out.get(name, 0.0) + number
        if name in _BY_STEP and (step := _STEP.search(labels)):
            key = f"{_BY_STEP[name]}.{step[1]}"
            out[key] = out.get(key, 0.0) + number
    return out


class Sampler:
    """Asks `sources` every `seconds` in a thread of its own, and `processes` for memory and CPU (`rss.NAME`,
    `cpu.NAME`). Also tells `progress` now and then.
    """

    def __init__(
        self,
        seconds: float,
        processes: Mapping[str, int],
        sources: Callable[[], Sample],
        progress: Callable[[Sample], str] | None = None,
        progress_seconds: float = 10.0,
    ) -> None:
        self.samples: list[Sample] = []
        self._seconds = seconds
        self._processes = processes
        self._sources = sources
        self._progress = progress
        self._progress_seconds = progress_seconds
        self._done = threading.Event()
        self._thread = threading.Thread(target=self._run, name="sampler", daemon=True)
        self._thread.start()

    def close(self) -> None:
        self._done.set()
        self._thread.join()

    def between(self, begin: float, end: float) -> list[Sample]:
        """The samples of a stretch of time."""
        return [sample for sample in list(self.samples) if begin <= sample["at"] <= end]

    def _run(self) -> None:
        told, due = 0.0, time.monotonic()
        while not self._done.wait(max(0.0, due - time.monotonic())):
            due = max(due + self._seconds, time.monotonic())
            sample = self._sample()
            self.samples.append(sample)
            if self._progress and sample["at"] - told >= self._progress_seconds:
                told = sample["at"]
                print(self._progress(sample), flush=True)

    def _sample(self) -> Sample:
        sample: Sample = {"at": time.time()}
        for name, pid in self._processes.items():
            sample[f"rss.{name}"] = resident_bytes(pid)
            sample[f"cpu.{name}"] = cpu_seconds(pid)
        return sample | self._sources()


def used(samples: list[Sample], prefix: str) -> dict[str, float]:
    """By how much numbers that only grow (`prefix`...) have grown, per second, the largest first."""
    first, last = samples[0], samples[-1]
    seconds = max(last["at"] - first["at"], 1e-3)
    grown = {
        name.removeprefix(prefix): (value - first.get(name, 0.0)) / seconds
        for name, value in last.items()
        if name.startswith(prefix)
    }
    return dict(sorted(grown.items(), key=lambda one: -one[1]))


def column(samples: list[Sample], name: str) -> tuple[list[float], list[float]]:
    """Times and values of those samples that have it."""
    pairs = [(sample["at"], sample[name]) for sample in samples if name in sample]
    return [at for at, _ in pairs], [value for _, value in pairs]
