"""One database belongs to one deployment."""

from __future__ import annotations

from typing import Any

from sinks.base import Deployment, SinkRefused


def claim(client: Any, deployment: Deployment, shown: str) -> None:
    """Write the deployment into an unclaimed database; refuse one that belongs to another."""
    if not _owners(client):
        client.command(
            "INSERT INTO pathline.deployment (id, shards, state_format) SELECT "
            "{id:String}, {shards:UInt32}, {state_format:UInt32}",
            parameters={
                "id": deployment.id,
                "shards": deployment.shards,
                "state_format": deployment.state_format,
            },
        )
    # read again: of two that claim a server's database at one moment both see two owners, and stop
    for owner in _owners(client):
        _same(owner, deployment, shown)


def _owners(client: Any) -> list[Deployment]:
    rows = client.query("SELECT id, shards, state_format FROM pathline.deployment FINAL").result_rows
    return [Deployment(id, shards, state_format) for id, shards, state_format in rows]  # noqa: A001


def _same(owner: Deployment, ours: Deployment, shown: str) -> None:
    if owner.id != ours.id:
        raise SinkRefused(
            f"{shown} belongs to deployment {owner.id!r}, not to {ours.id!r}",
            "point this deployment at a database of its own, or empty that one with `pathline reset`",
        )
    if owner.shards != ours.shards:
        raise SinkRefused(
            f"{shown} was written with {owner.shards} shards, not with {ours.shards}",
            "the number of shards is fixed when a deployment is created: "
            "set it back, or write a new database from history",
        )
    if owner.state_format != ours.state_format:
        raise SinkRefused(
            f"{shown} was written with state format {owner.state_format}, this version has "
            f"{ours.state_format}",
            "re-process history into a new database, or run the version that wrote this one",
        )
