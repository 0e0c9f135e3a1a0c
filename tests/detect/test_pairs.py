"""From the cohorts of the shards to a call: where mobile people in Germany fall, they are what is named."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache

import numpy as np
import pytest

from pipeline.core.count.cohorts import COHORT, NOW
from pipeline.core.detect import HORIZONS_MINUTES, Detector, Episode, Minute, Settings
from pipeline.core.detect.gather import Gather, Settled
from tests.detect.test_gather import BEGIN, JOURNEYS

COUNTRIES, DEVICES, CHANNELS = ("DE", "FR", "NL"), ("desktop", "mobile"), ("ads", "email")
WORDS = ["", *COUNTRIES, *DEVICES, *CHANNELS, "shop"]
CELLS = [(country, device, channel) for country in COUNTRIES for device in DEVICES for channel in CHANNELS]
SHARES = np.array([c * d * h for c in (0.4, 0.4, 0.2) for d in (0.5, 0.5) for h in (0.6, 0.4)])
SHARDS = 2
RATE = 0.4
ENTRANTS = 150
"""A minute."""
PACE = np.array((0.35, 0.6, 0.85, 0.95, 0.98, 0.99, 1.0))
QUICK = Settings(history_minutes=300, horizon_goers=100, margin_first_week=0.0)
FALLS, AFTER = 30 * 60, 60
"""Minutes: until something is wrong (each hour of a day has been seen), and from then on."""

Cells = tuple[tuple[str, ...], ...]


def minutes(fallen: Cells, factor: float, countries: tuple[str, ...] = COUNTRIES) -> Iterator[Minute]:
    """Those of a world in which these cells go on by `factor` less from minute FALLS on."""
    draw, gather = np.random.default_rng(7), Gather(JOURNEYS, SHARDS)
    length = FALLS + AFTER
    alive = np.array([cell[0] in countries for cell in CELLS])
    came = draw.poisson(ENTRANTS / SHARDS * SHARES * alive, (SHARDS, length, len(CELLS)))
    down = np.array([any(set(part) <= set(cell) for part in fallen) for cell in CELLS])
    rate = np.where(down & (np.arange(length) >= FALLS)[:, None], RATE * factor, RATE)
    went = draw.binomial(came[..., None], rate[None, :, :, None] * np.diff(PACE, prepend=0.0)).cumsum(axis=-1)
    went = np.minimum(went, came[..., None])
    for at in range(length):
        yield from gather.apply([_told(shard, at, came[shard], went[shard]) for shard in range(SHARDS)])


def _told(shard: int, at: int, came: np.ndarray, went: np.ndarray) -> Settled:
    backs = [*enumerate(HORIZONS_MINUTES), (NOW, 0)]
    rows = np.zeros((len(backs), len(CELLS)), COHORT)
    rows["rank"] = 1
    for row, (horizon, back) in zip(rows, backs, strict=True):
        if at < back:
            continue
        row["horizon"], row["minute"], row["entered"] = horizon, BEGIN + at, came[at - back]
        if horizon == NOW:
            row["value_e4"] = 500_000 * came[at]
        else:
            row["went_on"] = went[at - back, :, horizon]
    for name, values in zip(("country", "device", "channel"), zip(*CELLS, strict=True), strict=True):
        rows[name] = [WORDS.index(value) for value in values]
    rows["site"] = WORDS.index("shop")
    return Settled(shard, rows[rows["minute"] > 0], WORDS, BEGIN + at)


def called(told: Iterator[Minute]) -> list[Episode]:
    """Every change of every episode."""
    detector = Detector(QUICK)
    return [episode for minute in told for episode in detector.apply(minute)]


@cache
def of_the_pair() -> list[Episode]:
    return called(minutes((("DE", "mobile"),), 0.2))


def test_where_only_a_pair_falls_the_pair_is_named() -> None:
    changes = of_the_pair()
    assert len({change.id for change in changes}) == 1
    assert changes[0].cause is not None
    for change in changes:
        assert change.cause is not None
        assert change.cause.segment == (("country", "DE"), ("device", "mobile"))
        assert not {(("country", "DE"),), (("device", "mobile"),)} & {
            one.segment for one in change.unaffected
        }


def test_it_was_found_in_something_larger_for_pairs_are_not_tested() -> None:
    assert {len(change.scope.segment) for change in of_the_pair()} <= {0, 1}
    detector = Detector(QUICK)
    for minute in minutes((("DE", "mobile"),), 0.2):
        detector.apply(minute)
    state = detector.dump()
    pairs = np.array([len(segment) == 2 for *_, segment in state["scopes"]])
    assert pairs.sum() == 3 * 2 + 3 * 2 + 2 * 2
    assert not state["rows"]["tested"][pairs].any()
    assert not state["rows"]["heard"][pairs].any()
    assert not state["rows"]["cusum"][pairs].any()
    assert state["rows"]["tested"][~pairs].all()


@pytest.mark.parametrize(
    ("fallen", "cause"),
    [((("mobile",),), (("device", "mobile"),)), ((("DE",),), (("country", "DE"),)), (((),), None)],
)
def test_where_more_than_a_pair_falls_no_pair_is_named(
    fallen: Cells, cause: tuple[tuple[str, str], ...] | None
) -> None:
    changes = called(minutes(fallen, 0.4))
    assert len({change.id for change in changes}) == 1
    assert (changes[-1].cause.segment if changes[-1].cause else None) == cause


def test_in_a_shop_of_one_country_the_device_is_named() -> None:
    changes = called(minutes((("DE", "mobile"),), 0.4, ("DE",)))
    assert changes[-1].cause is not None
    assert changes[-1].cause.segment == (("device", "mobile"),)
