"""The same broker in a container, for machines with Docker and without Java."""

from __future__ import annotations

import shutil
import subprocess
from importlib.util import find_spec
from typing import Any, Final

from tests.kafka.jars import NoBroker, version
from tests.kafka.node import free_ports, properties
from tests.kafka.topics import Topics

START_SECONDS_MAX: Final = 300.0
"""The image may have to be loaded first."""


class DockerBroker(Topics):
    """Has the network of this machine, so that its ports and settings are those of a process."""

    def __init__(self) -> None:
        if find_spec("testcontainers") is None:
            raise NoBroker("testcontainers is not installed")
        if (
            shutil.which("docker") is None
            or subprocess.run(["docker", "info"], capture_output=True).returncode
        ):
            raise NoBroker("there is no docker that answers")
        from testcontainers.core.container import DockerContainer

        ports = free_ports()
        super().__init__(ports.servers)
        self.sasl_servers = ports.sasl_servers
        self._container: Any = DockerContainer(f"apache/kafka:{version()}")
        self._container.with_kwargs(network_mode="host")
        for name, value in properties(ports, "/tmp/data").items():
            self._container.with_env("KAFKA_" + _as_variable(name), str(value))
        self._started = False

    def start(self) -> None:
        """Return when it answers; again after `stop` or `kill`, with the same data."""
        if self._started:
            self._container.get_wrapped_container().start()
        else:
            self._container.start()
            self._started = True
        assert self.answers(START_SECONDS_MAX), self._container.get_logs()

    def stop(self) -> None:
        """Asks it to end, and waits."""
        self._container.get_wrapped_container().stop()

    def kill(self) -> None:
        """As kill -9 does; gone when this returns."""
        inner = self._container.get_wrapped_container()
        inner.kill()
        inner.wait()

    def restart(self) -> None:
        """Starts again with the same data; kills first if it runs."""
        if self.is_running:
            self.kill()
        self.start()

    @property
    def is_running(self) -> bool:
        """Whether the container runs."""
        inner = self._container.get_wrapped_container()
        inner.reload()
        return bool(inner.status == "running")

    def remove(self) -> None:
        """Leaves nothing."""
        self._container.stop()


def _as_variable(name: str) -> str:
    """A setting as the image reads it from the environment."""
    return name.replace("_", "__").replace(".", "_").upper()
