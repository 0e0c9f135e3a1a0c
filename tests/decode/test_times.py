"""Times as Python's datetime and zoneinfo know them."""

from __future__ import annotations

import datetime as dt
import zoneinfo
from decimal import Decimal
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from pipeline.core.decode.parse import Digits, Instant, Rejected
from pipeline.core.decode.times import exact_time, iso, local_to_utc
from schemas.field_maps import TimeFormat
from schemas.rejects import RejectReason

UTC = TimeFormat()
EPOCH = dt.datetime(1970, 1, 1)
OFFSETS = st.integers(-23 * 60 - 59, 23 * 60 + 59).map(lambda m: dt.timezone(dt.timedelta(minutes=m)))


def kernel(text: str) -> tuple[int, int]:
    raw = np.frombuffer(text.encode(), np.uint8)
    ms, how = iso(raw, 0, len(raw))
    return int(ms), int(how)


def since_epoch(time: dt.datetime) -> int:
    return (time - EPOCH) // dt.timedelta(milliseconds=1)


@given(
    st.datetimes(),
    st.sampled_from("T "),
    st.sampled_from(["seconds", "milliseconds", "microseconds", "auto"]),
)
@example(dt.datetime(2000, 2, 29, 23, 59, 59, 999999), "T", "milliseconds")
@example(dt.datetime(1, 1, 1), " ", "auto")
def test_iso_local_is_datetime(time: dt.datetime, separator: str, digits: str) -> None:
    text = time.isoformat(separator, digits)
    assert kernel(text) == (since_epoch(dt.datetime.fromisoformat(text)), 0)
    assert kernel(text + "Z") == (since_epoch(dt.datetime.fromisoformat(text)), 1)


@given(st.datetimes(dt.datetime(2, 1, 1), dt.datetime(9998, 1, 1)), OFFSETS)
def test_iso_with_an_offset_is_datetime(time: dt.datetime, zone: dt.timezone) -> None:
    text = time.replace(tzinfo=zone).isoformat()
    utc = dt.datetime.fromisoformat(text).astimezone(dt.UTC).replace(tzinfo=None)
    assert kernel(text) == (since_epoch(utc), 1)


@given(st.from_regex(r"\A[0-9]{4}-[0-9]{2}-[0-9]{2}[T ][0-9]{2}:[0-9]{2}:[0-9]{2}(\.[0-9]{1,9})?Z?\Z"))
def test_kernel_knows_no_time_that_datetime_does_not(text: str) -> None:
    ms, how = kernel(text)
    try:
        known = dt.datetime.fromisoformat(text).replace(tzinfo=None)
    except ValueError:
        assert how == -1
    else:
        assert (ms, how) == (since_epoch(known), int(text.endswith("Z")))


@given(st.text("0123456789-:TZ. +", max_size=30) | st.text(max_size=12))
def test_texts_that_are_no_time_are_rejected(text: str) -> None:
    try:
        known = dt.datetime.fromisoformat(text)
    except ValueError:
        with pytest.raises(Rejected) as rejected:
            exact_time(text, UTC)
        assert rejected.value.reason == RejectReason.NO_TIME
    else:
        if known.tzinfo is None:
            assert exact_time(text, UTC) == since_epoch(known)


@given(
    st.datetimes(dt.datetime(1980, 1, 1), dt.datetime(2037, 1, 1)),
    st.sampled_from(["Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "Asia/Kathmandu"]),
)
def test_local_times_that_exist_once_are_those_of_zoneinfo(time: dt.datetime, name: str) -> None:
    zone = zoneinfo.ZoneInfo(name)
    times = {time.replace(tzinfo=zone, fold=fold).astimezone(dt.UTC) for fold in (0, 1)}
    if len(times) == 1:
        utc = times.pop().replace(tzinfo=None)
        assert local_to_utc(np.array([since_epoch(time)]), name).tolist() == [since_epoch(utc)]


def test_local_times_that_exist_twice_or_never() -> None:
    def berlin(text: str) -> str:
        ms = exact_time(text, TimeFormat(zone="Europe/Berlin"))
        return (EPOCH + dt.timedelta(milliseconds=ms)).isoformat()

    assert berlin("2025-10-26T02:30:00") == "2025-10-26T00:30:00"  # the earlier one
    assert berlin("2026-03-29T02:30:00") == "2026-03-29T01:00:00"  # the clock went from 2 to 3
    assert berlin("2026-03-29T02:30:00+00:00") == "2026-03-29T02:30:00"


@given(
    st.decimals(0, 10**18, allow_nan=False, places=7), st.sampled_from(["epoch_s", "epoch_ms", "epoch_us"])
)
def test_epoch_numbers_are_cut_off(number: Decimal, kind: str) -> None:
    unit = {"epoch_s": Fraction(1000), "epoch_ms": Fraction(1), "epoch_us": Fraction(1, 1000)}[kind]
    expected = Fraction(number) * unit
    for value in (Digits(f"{number:f}"), f"{number:f}", f" +{number:f} "):
        if expected > 10**18:
            with pytest.raises(Rejected):
                exact_time(value, TimeFormat(kind))  # type: ignore[arg-type]
        else:
            assert exact_time(value, TimeFormat(kind)) == expected // 1  # type: ignore[arg-type]


@pytest.mark.parametrize("value", ["", "x", "nan", "1_000", "1e", "٣", "0x10", "inf"])
def test_texts_that_are_no_epoch(value: str) -> None:
    with pytest.raises(Rejected) as rejected:
        exact_time(value, TimeFormat("epoch_ms"))
    assert rejected.value.reason == RejectReason.NO_TIME


@pytest.mark.parametrize("value", [10**30, Digits("1e999999999"), "1e300"])
def test_epochs_beyond_all_time_are_absurd(value: int | str) -> None:
    with pytest.raises(Rejected) as rejected:
        exact_time(value, TimeFormat("epoch_us"))
    assert rejected.value.reason == RejectReason.ABSURD_TIME


def test_strptime() -> None:
    form = TimeFormat("strptime", "%d/%b/%Y:%H:%M:%S %z")
    assert exact_time("17/May/2015:10:05:03 +0200", form) == 1_431_849_903_000
    local = TimeFormat("strptime", "%d.%m.%Y %H:%M", "Europe/Berlin")
    assert exact_time("17.05.2015 12:05", local) == 1_431_857_100_000


def test_an_instant_is_iso_whatever_the_format() -> None:
    for kind in ("iso", "epoch_s", "strptime"):
        assert exact_time(Instant("2026-03-13 10:21:14.165Z"), TimeFormat(kind)) == 1_773_397_274_165  # type: ignore[arg-type]
