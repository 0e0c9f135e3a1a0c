"""One answer of a whole run: the numbers of its processes together, and what whoever is asked sees itself."""

from __future__ import annotations

import os
import platform
import shutil
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Final

from prometheus_client import generate_latest
from prometheus_client.metrics_core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.registry import Collector

from pipeline.runtime import metrics
from pipeline.runtime.metrics import METRICS, PID, Metric
from pipeline.runtime.numbers import Key, Numbers
from pipeline.runtime.record import Record

Samples = dict[str, dict[tuple[str, ...], float]]
"""By metric, by the values of its labels."""

LOOK_SECONDS: Final = 10.0
"""So old the size of the state folder may be: to add it up takes longer than all the rest."""

_BY_NAME: Final = {metric.name: metric for metric in METRICS}
_EPOCHS: Final = (metrics.EPOCHS.name,)
_PAGE: Final = os.sysconf("SC_PAGE_SIZE")


def merged(processes: Iterable[Mapping[Key, float]], now: float) -> Samples:
    """The numbers of all processes as one; moments become ages."""
    out: Samples = {}
    for numbers in processes:
        for (name, *labels), value in numbers.items():
            metric = _BY_NAME.get(name)
            if metric is None or len(labels) != len(metric.labels):
                continue
            if metric.kind == "age":
                value = max(0.0, now - value) if value else 0.0
            series = out.setdefault(name, {})
            before = series.get(tuple(labels), 0.0)
            series[tuple(labels)] = max(before, value) if metric.merge == "max" else before + value
    return out


@dataclass
class Exposition:
    """All metrics of the deployment in a state folder, as of whenever it is asked."""

    record: Record
    _numbers: Numbers = field(init=False)
    _looked_at: float = 0.0
    _state_bytes: float = 0.0

    def __post_init__(self) -> None:
        self._numbers = Numbers(self.record.numbers)

    def processes(self) -> dict[str, dict[Key, float]]:
        """The numbers of each process."""
        return self._numbers.read()

    def epochs(self) -> float:
        """How many epochs the run has had: cheap, to be asked often."""
        return max((numbers.get(_EPOCHS, 0.0) for numbers in self.processes().values()), default=0.0)

    def samples(self, now: float | None = None) -> Samples:
        """What the processes tell, and what is found out here (not what /healthz and /readyz say)."""
        processes = self.processes()
        told = merged(processes.values(), time.time() if now is None else now)
        for metric, labels, value in (*self._of_folder(), *_of_processes(processes), _build()):
            told.setdefault(metric.name, {})[labels] = value
        told.setdefault(metrics.RESTARTS.name, {(): 0.0})  # so that the first one is seen to happen
        return told

    def _of_folder(self) -> Iterator[tuple[Metric, tuple[str, ...], float]]:
        folder = self.record.folder
        if time.monotonic() - self._looked_at > LOOK_SECONDS or not self._looked_at:
            self._looked_at, self._state_bytes = time.monotonic(), _size(folder)
        yield metrics.STATE_BYTES, (), self._state_bytes
        with suppress(OSError):
            disk = shutil.disk_usage(folder)
            yield metrics.DISK_FREE, (), disk.free
            yield metrics.DISK_SIZE, (), disk.total
        if run := self.record.run():
            yield metrics.STARTED, (), run.started_at
        if error := self.record.last_error():
            yield metrics.LAST_ERROR, (), error.at


def _of_processes(
    processes: Mapping[str, Mapping[Key, float]],
) -> Iterator[tuple[Metric, tuple[str, ...], float]]:
    for process, numbers in processes.items():
        if (PID,) not in numbers:
            continue  # what runs beside the processes
        pid = int(numbers[(PID,)])
        memory = resident_bytes(pid)
        yield metrics.PROCESS_UP, (process,), memory is not None
        if memory is not None:
            yield metrics.PROCESS_MEMORY, (process,), memory


def resident_bytes(pid: int) -> int | None:
    """Memory of a process; None where there is none of that id."""
    try:
        return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * _PAGE if pid else None
    except (OSError, IndexError, ValueError):
        return None


def _build() -> tuple[Metric, tuple[str, ...], float]:
    return metrics.BUILD_INFO, (_version("pathline"), platform.python_version(), _version("bytewax")), 1.0


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:  # run from a checkout
        return "unknown"


def _size(folder: Path) -> float:
    total = 0
    for path in folder.rglob("*"):
        with suppress(OSError):  # it may be gone by now
            total += path.lstat().st_size
    return float(total)


class _Families(Collector):
    def __init__(self, samples: Samples) -> None:
        self._samples = samples

    def collect(self) -> Iterator[CounterMetricFamily | GaugeMetricFamily]:
        for metric in METRICS:
            kind = CounterMetricFamily if metric.kind == "counter" else GaugeMetricFamily
            family = kind(metric.full_name, f"{metric.meaning} [{metric.unit}]", labels=metric.labels)
            for labels, value in sorted(self._samples.get(metric.name, {}).items()):
                family.add_metric([_sayable(label) for label in labels], value)
            yield family


def _sayable(label: str) -> str:
    """A file may be called what no text can be."""
    return label.encode(errors="replace").decode()


def text(samples: Samples) -> bytes:
    """In the text format of Prometheus."""
    return generate_latest(_Families(samples))
