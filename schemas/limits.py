"""What is remembered has a limit: where one is hit something is forgotten early, and the view `bi.limits`
says so.

A closed list: each with what is forgotten then, and what to do.
"""

from __future__ import annotations

from typing import Final, NamedTuple


class Limit(NamedTuple):
    """`place` says what one count is kept for."""

    place: str
    meaning: str
    remedy: str


LIMITS: Final[dict[str, Limit]] = {
    "dedup_ids": Limit(
        "partition",
        "event ids forgotten before the dedup window had passed: a repeated record may have counted twice",
        "raise --dedup-ids-max, or shorten --dedup-window",
    ),
    "copy_ids": Limit(
        "shard",
        "event ids forgotten early: a copy in another partition may have counted twice",
        "raise --dedup-ids-max, or run with more --shards",
    ),
    "orders": Limit(
        "deployment",
        "orders forgotten before 365 days had passed: one that is reported again may count twice",
        "order ids come faster than ten million a year: split the sites into deployments of their own",
    ),
    "open_sessions": Limit(
        "shard",
        "sessions forgotten while open: their outcome stays open, and a visitor who goes on begins another",
        "run with more --shards, or shorten --session-gap",
    ),
    "open_objects": Limit(
        "shard",
        "carts, checkouts and payments forgotten while they were open: nobody will know what became of them",
        "run with more --shards, or shorten abandon_after in the journey",
    ),
    "segments": Limit(
        "deployment",
        "times that a segment beyond 500 of a step, or a pair beyond 200, was left out of a minute: no "
        "alert looks at it, and none names it as the cause",
        "channels, countries, devices or sites with very many values: let the mapping group them",
    ),
    "abandoned": Limit(
        "shard",
        "abandoned objects that expired early: a later order does not recover them",
        "shorten recovery_window in the journey, or run with more --shards",
    ),
}
