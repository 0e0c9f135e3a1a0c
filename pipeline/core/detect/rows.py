"""Changed episodes as rows of the table `alerts`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import pyarrow as pa

from pipeline.core.detect.episodes import Episode
from pipeline.core.detect.minutes import Scope
from schemas.tables import ALERTS, WORD

_ESCAPED: Final = str.maketrans({"%": "%25", ",": "%2C", "&": "%26"})


def rows(episodes: Sequence[Episode]) -> pa.RecordBatch:
    """One row per change, in their order."""
    told = [_row(episode) for episode in episodes]
    return pa.record_batch(
        [_column([row[field.name] for row in told], field.type) for field in ALERTS], schema=ALERTS
    )


def scope_text(scope: Scope | None) -> str:
    """'device=mobile', 'channel=email, device=mobile'; '' is everybody.

    What is between two parts does not stand in a value: who reads it could take one part for two.
    """
    parts = scope.segment if scope else ()
    return ", ".join(f"{dimension}={value.translate(_ESCAPED)}" for dimension, value in parts)


def _row(episode: Episode) -> dict[str, Any]:
    scope = episode.scope
    return {
        "alert_id": bytes.fromhex(episode.id),
        "version": episode.changes,
        "journey": scope.journey,
        "journey_version": scope.version,
        "rule": episode.rule,
        "rank": scope.rank,
        "stage": scope.stage,
        "scope": scope_text(scope),
        "site": dict(scope.segment).get("site", ""),
        "state": episode.state,
        "time": 60 * episode.started_at,
        "detected_at": 60 * episode.detected_at,
        "resolved_at": 60 * (episode.resolved_at or 0),
        "observed": episode.observed,
        "expected": episode.expected,
        "low": episode.low,
        "high": episode.high,
        "entrants": episode.entrants,
        "lost_orders": episode.lost * episode.order_rate,
        "lost_orders_low": episode.lost_low * episode.order_rate,
        "lost_orders_high": episode.lost_high * episode.order_rate,
        "lost_value_e4": episode.lost_value_e4,
        "lost_value_low_e4": episode.lost_value_low_e4,
        "lost_value_high_e4": episode.lost_value_high_e4,
        "cause": scope_text(episode.cause),
        "mix": episode.mix,
        "mix_dimension": episode.mix_dimension,
        "unaffected": [scope_text(one) for one in episode.unaffected],
        "verdict": episode.verdict,
        "severity": episode.severity,
        "smallest_drop": episode.smallest,
        "reason": episode.reason,
    }


def _column(values: list[Any], type_: pa.DataType) -> pa.Array:
    if type_ == WORD:
        return pa.array(values, pa.string()).dictionary_encode()
    return pa.array(values, type_)
