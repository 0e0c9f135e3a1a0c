"""One real Kafka node on this machine: controller and broker in one process (KRaft)."""

from __future__ import annotations

import base64
import os
import shutil
import signal
import subprocess
import uuid
from contextlib import suppress
from pathlib import Path
from typing import Final

from tests.kafka.jars import classpath
from tests.kafka.node import HERE, KEYSTORE_PASSWORD, Ports, free_ports, properties
from tests.kafka.topics import Topics

START_SECONDS_MAX: Final = 90.0
STOP_SECONDS_MAX: Final = 30.0

JAVA: Final = (
    "-Xmx256m", "-Xms64m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-Djava.awt.headless=true",
    "-Dorg.slf4j.simpleLogger.defaultLogLevel=warn", "-Dorg.slf4j.simpleLogger.showDateTime=true",
)  # fmt: skip

ORPHANED: Final = 'exec 3<&0; (read -r _ <&3; kill -9 $$) & exec "$@" 3<&- </dev/null'
"""Becomes the broker. When whoever started it dies in any way, its end of the pipe closes: this dies, too."""


class Broker(Topics):
    """A node with a folder of its own: `start`, `stop`, `kill`, `restart` with the same data and ports."""

    def __init__(self, folder: Path, *, tls: bool = False) -> None:
        self.folder = folder
        self.certificate = folder / "certificate.pem" if tls else None
        self._ports: Ports = free_ports()
        super().__init__(self._ports.servers)
        self.sasl_servers = self._ports.sasl_servers
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Return when it answers. The first time its storage is formatted."""
        assert self._process is None, "it runs already"
        java = [shutil.which("java") or "java", *JAVA, "-cp", classpath()]
        config = self.folder / "server.properties"
        if not config.exists():
            self.folder.mkdir(parents=True, exist_ok=True)
            self._format(java, config)
        with (self.folder / "broker.log").open("ab") as log:
            self._process = subprocess.Popen(
                ["sh", "-c", ORPHANED, "broker", *java, "kafka.Kafka", str(config)],
                stdin=subprocess.PIPE,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        self._await()

    def stop(self) -> None:
        """Asks it to end, and waits. Nothing is lost, and it may be started again."""
        if self._process is not None and self.is_running:
            self._process.terminate()
            with suppress(subprocess.TimeoutExpired):  # a busy machine: what is left is killed below
                self._process.wait(STOP_SECONDS_MAX)
        self.kill()

    def kill(self) -> None:
        """As kill -9 does; gone when this returns. What it acknowledged is in the page cache, and stays."""
        process, self._process = self._process, None
        if process is None:
            return
        with suppress(ProcessLookupError):  # gone already, with all that it started
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        assert process.stdin is not None
        process.stdin.close()

    def restart(self) -> None:
        """Starts again with the same data on the same ports; kills first if it runs."""
        self.kill()
        self.start()

    @property
    def is_running(self) -> bool:
        """Whether its process lives."""
        return self._process is not None and self._process.poll() is None

    @property
    def pid(self) -> int:
        """Of the broker, for whoever wants to stop it for a while (SIGSTOP)."""
        assert self._process is not None, "it does not run"
        return self._process.pid

    def _format(self, java: list[str], config: Path) -> None:
        draft = config.with_suffix(".draft")
        settings = properties(self._ports, str(self.folder / "data"), self._keystore())
        draft.write_text("".join(f"{name}={value}\n" for name, value in settings.items()))
        cluster = base64.urlsafe_b64encode(uuid.uuid4().bytes).decode().rstrip("=")
        done = subprocess.run(
            [*java, "kafka.tools.StorageTool", "format", f"--cluster-id={cluster}", "-c", str(draft)],
            capture_output=True,
            text=True,
            timeout=START_SECONDS_MAX,
        )
        assert done.returncode == 0, (
            f"the broker's storage could not be formatted:\n{done.stdout}{done.stderr}"
        )
        draft.rename(config)

    def _keystore(self) -> Path | None:
        """A key of its own, whose certificate clients have to know."""
        if self.certificate is None:
            return None
        store = self.folder / "key.p12"
        common = ["-keystore", str(store), "-storepass", KEYSTORE_PASSWORD, "-alias", "broker"]
        told = ["-dname", "CN=tests", "-ext", f"san=ip:{HERE}", "-keyalg", "EC", "-storetype", "PKCS12"]
        for action in (["-genkeypair", *told], ["-exportcert", "-rfc", "-file", str(self.certificate)]):
            subprocess.run(["keytool", *action, *common], check=True, capture_output=True)
        return store

    def _await(self) -> None:
        process = self._process
        assert process is not None
        if not self.answers(START_SECONDS_MAX, lambda: process.poll() is None):
            self.kill()
            log = (self.folder / "broker.log").read_text(errors="replace")
            raise AssertionError(f"the broker did not answer within {START_SECONDS_MAX:g} s:\n{log[-4000:]}")
