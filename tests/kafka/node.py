"""How a test's broker is set up, whether a process or a container runs it.

It listens on 127.0.0.1 only, twice: for everybody (`servers`), who may do anything; and for those who say
who they are (`sasl_servers`, SASL/PLAIN, on request over TLS), who may do what access rules grant them.
"""

from __future__ import annotations

import random
import socket
from pathlib import Path
from typing import Final, NamedTuple

USERS: Final = {"writer": "writer-secret", "stranger": "stranger-secret"}
"""Who may log in at `sasl_servers`, with their passwords. Neither has any right before it is granted."""

KEYSTORE_PASSWORD: Final = "keystore-secret"

HERE: Final = "127.0.0.1"


class Ports(NamedTuple):
    """Of one node."""

    open: int
    sasl: int
    controller: int

    @property
    def servers(self) -> str:
        """For everybody."""
        return f"{HERE}:{self.open}"

    @property
    def sasl_servers(self) -> str:
        """For those with a password."""
        return f"{HERE}:{self.sasl}"


_TAKEN: Final[dict[int, socket.socket]] = {}


def free_ports() -> Ports:
    """Below those of outgoing connections, and ours alone for as long as this process lives: nobody takes one
    while the broker is down.
    """
    found: list[int] = []
    while len(found) < len(Ports._fields):
        port = random.randrange(20_000, 32_000)
        if _take(port):
            found.append(port)
    return Ports(*found)


def _take(port: int) -> bool:
    """Whether nobody listens there, and no other process of tests means to."""
    if port in _TAKEN:
        return False
    claim = socket.socket(socket.AF_UNIX)
    try:
        claim.bind(f"\0pathline-test-port-{port}")  # in no folder, and gone with this process
        with socket.socket() as probe:
            probe.bind((HERE, port))
    except OSError:
        claim.close()
        return False
    _TAKEN[port] = claim
    return True


def properties(ports: Ports, data: str, keystore: Path | None = None) -> dict[str, str | int]:
    """The broker's settings; `data` is the folder of its logs. With a keystore logging in goes over TLS."""
    return (
        _listeners(ports, "SASL_SSL" if keystore else "SASL_PLAINTEXT")
        | _tls(keystore)
        | {
            "process.roles": "broker,controller",
            "node.id": 1,
            "log.dirs": data,
            "auto.create.topics.enable": "false",  # a topic that is missing must be seen to be missing
            # One node has all copies.
            "default.replication.factor": 1,
            "offsets.topic.replication.factor": 1,
            "transaction.state.log.replication.factor": 1,
            "transaction.state.log.min.isr": 1,
            # What makes it start, answer and come back soon, in little memory.
            "offsets.topic.num.partitions": 2,
            "transaction.state.log.num.partitions": 2,
            "group.initial.rebalance.delay.ms": 0,
            "broker.session.timeout.ms": 3000,  # after a kill it waits until it counts as gone
            "broker.heartbeat.interval.ms": 500,
            "log.cleaner.dedupe.buffer.size": 4 * 1024 * 1024,
            "log.index.size.max.bytes": 1024 * 1024,
            "num.network.threads": 2,
            "num.io.threads": 2,
            "background.threads": 2,
            # Records of long ago stay, unless a test's topic has a retention: then they are gone soon.
            "log.retention.ms": -1,
            "log.initial.task.delay.ms": 1000,
            "log.retention.check.interval.ms": 1000,
            "file.delete.delay.ms": 100,
        }
    )


def _tls(keystore: Path | None) -> dict[str, str | int]:
    if keystore is None:
        return {}
    return {
        "listener.name.secure.ssl.keystore.type": "PKCS12",
        "listener.name.secure.ssl.keystore.location": str(keystore),
        "listener.name.secure.ssl.keystore.password": KEYSTORE_PASSWORD,
    }


def _listeners(ports: Ports, secure: str) -> dict[str, str | int]:
    login = "org.apache.kafka.common.security.plain.PlainLoginModule required"
    users = " ".join(f'user_{name}="{password}"' for name, password in USERS.items())
    ours = f"PLAINTEXT://{ports.servers},SECURE://{ports.sasl_servers}"
    controller = f"{HERE}:{ports.controller}"
    return {
        "controller.quorum.voters": f"1@{controller}",
        "listeners": f"{ours},CONTROLLER://{controller}",
        "advertised.listeners": ours,
        "controller.listener.names": "CONTROLLER",
        "inter.broker.listener.name": "PLAINTEXT",
        "listener.security.protocol.map": f"PLAINTEXT:PLAINTEXT,SECURE:{secure},CONTROLLER:PLAINTEXT",
        "sasl.enabled.mechanisms": "PLAIN",
        "listener.name.secure.plain.sasl.jaas.config": f"{login} {users};",
        "authorizer.class.name": "org.apache.kafka.metadata.authorizer.StandardAuthorizer",
        "super.users": "User:ANONYMOUS",
    }
