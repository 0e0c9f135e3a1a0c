"""A kind of object beside the stages of its journey: one trouble is one alert, worth what orders are."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
import pytest
from numpy.typing import NDArray

from pipeline.core.detect import HORIZONS_MINUTES, Detector, Episode, Minute, Scope, Settings

BEGIN = 29_000_000
MINUTES = 2 * 24 * 60 + 6 * 60
TROUBLE = (MINUTES - 3 * 60, MINUTES - 2 * 60)
VALUE_E4 = 800_000
CART = Scope("shop", 1, 2, "cart")
ORDER = Scope("shop", 1, 3, "order")
CARTS = Scope("shop", 1, 2 * 16 + 2, "cart (abandonment)")
DEVICES = ("mobile", "desktop")

Counts = NDArray[np.int64]


def minutes(steps: Sequence[Scope], entered: Counts, went_on: Counts) -> Iterator[Minute]:
    """Minutes in which every one of `steps` has these counts (minute × device), and the orders follow.
    Whoever goes on does so in the minute in which they came.
    """
    rows = [(step, entered, went_on) for step in steps] + [(ORDER, went_on, 0 * went_on)]
    scopes = [
        one._replace(segment=segment)
        for one, *_ in rows
        for segment in [(), *((("device", device),) for device in DEVICES)]
    ]
    came = np.concatenate([_with_all(one) for _, one, _ in rows], axis=1)
    went = np.concatenate([_with_all(one) for *_, one in rows], axis=1)
    is_order = np.array([scope.stage == "order" for scope in scopes])
    for at in range(max(HORIZONS_MINUTES), MINUTES):
        back = [at - after for after in HORIZONS_MINUTES]
        yield Minute(
            at=BEGIN + at,
            scopes=scopes,
            entered=came[at],
            settled=came[back].T,
            went_on=went[back].T,
            skipped=np.zeros(len(scopes), np.int64),
            value_e4=np.where(is_order, VALUE_E4 * came[at], 1),
        )


def _with_all(counts: Counts) -> Counts:
    return np.concatenate([counts.sum(axis=1, keepdims=True), counts], axis=1)


def episodes(steps: Sequence[Scope], entered: Counts, went_on: Counts) -> list[Episode]:
    """Each as it was last told."""
    detector, last = Detector(Settings(silent_after_minutes=24 * 60)), {}
    for minute in minutes(steps, entered, went_on):
        last |= {episode.id: episode for episode in detector.apply(minute)}
    return [*last.values()]


def world(mobile_rate: float) -> tuple[Counts, Counts]:
    """Who comes and who goes on, by minute and device; in the trouble this is the rate on phones."""
    rng = np.random.default_rng(3)
    entered = rng.poisson([6.0, 14.0], (MINUTES, 2))
    rate = np.full((MINUTES, 2), 0.5)
    rate[slice(*TROUBLE), 0] = mobile_rate
    return entered, rng.binomial(entered, rate)


def test_a_kind_and_its_stage_fall_together_as_one_alert() -> None:
    (found,) = episodes((CART, CARTS), *world(mobile_rate=0.05))
    assert (found.rule, found.scope.place, found.state) == ("drop", 2, "resolved")
    assert found.cause is not None
    assert found.cause.segment == (("device", "mobile"),)


def test_a_kind_alone_is_worth_the_orders_that_come_of_it() -> None:
    entered, went_on = world(mobile_rate=0.05)
    (found,) = episodes((CARTS,), entered, went_on)
    assert found.scope.whole == CARTS
    first, last = TROUBLE
    lost = 0.45 * float(entered[first:last, 0].sum())
    assert found.lost_low < lost < found.lost_high
    assert found.order_rate == pytest.approx(1.0, abs=0.02)
    assert found.lost_value_e4 == pytest.approx(found.lost * found.order_rate * VALUE_E4, abs=1)


def test_nobody_looks_for_silence_where_nobody_comes_to_a_kind() -> None:
    entered, went_on = world(mobile_rate=0.5)
    nobody = entered.copy()
    nobody[slice(*TROUBLE)] = 0
    assert [found.rule for found in episodes((CART,), nobody, np.minimum(went_on, nobody))] == ["silence"]
    told = episodes((CARTS,), nobody, np.minimum(went_on, nobody))
    assert [found.scope for found in told] == [ORDER]
