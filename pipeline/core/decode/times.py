"""Times: ISO 8601, epoch numbers and strptime patterns to milliseconds since 1970 UTC."""

from __future__ import annotations

import datetime as dt
from decimal import ROUND_FLOOR, Context, Decimal
from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numba import njit
from numpy.typing import NDArray

from pipeline.core.decode.growing import grown
from pipeline.core.decode.parse import Digits, Instant, Rejected, decimal_of
from pipeline.core.decode.spans import INSTANT, NUMBER, STRING, Spans, digits, is_present
from pipeline.core.raw import borrowed, byte_at, load_u64
from schemas.mappings import TimeFormat
from schemas.rejects import RejectReason

NO_TIME: Final = np.iinfo(np.int64).min
"""A time that is missing."""

EPOCH_MS_MAX: Final = 10**18
"""A time beyond this is absurd in any unit (and differences of it would leave 64 bits)."""

TIME_ISO, TIME_S, TIME_MS, TIME_US = range(4)
_FORMS: Final = {"iso": TIME_ISO, "epoch_s": TIME_S, "epoch_ms": TIME_MS, "epoch_us": TIME_US}
_TO_MS: Final = {"epoch_s": 3, "epoch_ms": 0, "epoch_us": -3}  # powers of ten
_DOWN: Final = Context(prec=40, rounding=ROUND_FLOOR)


@njit(nogil=True, forceinline=True)
def _days(y, m, d):  # type: ignore[no-untyped-def]
    """Days since 1970-01-01 of a proleptic Gregorian date (Howard Hinnant, days_from_civil)."""
    if m <= 2:
        y -= 1
    era = y // 400
    yoe = y - era * 400
    doy = (153 * (m - 3 if m > 2 else m + 9) + 2) // 5 + d - 1
    doe = yoe * 365 + yoe // 4 - yoe // 100 + doy
    return era * 146097 + doe - 719468


@njit(nogil=True, forceinline=True)
def _month_days(y, m):  # type: ignore[no-untyped-def]
    if m == 2:
        return 29 if y % 4 == 0 and (y % 100 != 0 or y % 400 == 0) else 28
    return 30 + ((m + (m >> 3)) & 1)


@njit(nogil=True, forceinline=True)
def _minute(buf, a):  # type: ignore[no-untyped-def]
    """Minutes since 1970 of the 16 bytes YYYY-MM-DD HH:MM (or with a T), or NO_TIME."""
    if byte_at(buf, a + 4) != 45 or byte_at(buf, a + 7) != 45 or byte_at(buf, a + 13) != 58:
        return NO_TIME
    if byte_at(buf, a + 10) != 84 and byte_at(buf, a + 10) != 32:
        return NO_TIME
    y, m, d = digits(buf, a, 4), digits(buf, a + 5, 2), digits(buf, a + 8, 2)
    hour, minute = digits(buf, a + 11, 2), digits(buf, a + 14, 2)
    if y < 1 or m < 1 or m > 12 or d < 1 or hour < 0 or hour > 23 or minute < 0 or minute > 59:
        return NO_TIME
    if d > _month_days(y, m):
        return NO_TIME
    return (_days(y, m, d) * 24 + hour) * 60 + minute


@njit(nogil=True, forceinline=True)
def _within_minute(buf, i, stop):  # type: ignore[no-untyped-def]
    """(milliseconds, 1 with a zone | 0 without | -1 not understood) of :SS[.fraction][Z|+HH:MM]."""
    second = digits(buf, i + 1, 2)
    if byte_at(buf, i) != 58 or second < 0 or second > 59:
        return 0, -1
    ms = second * 1000
    i += 3
    if i < stop and byte_at(buf, i) == 46:
        i += 1
        first = i
        scale = 100
        while i < stop and 48 <= byte_at(buf, i) <= 57:
            ms += (byte_at(buf, i) - 48) * scale
            scale //= 10
            i += 1
        if i == first or i - first > 9:
            return 0, -1
    if i == stop:
        return ms, 0
    sign = byte_at(buf, i)
    if sign == 90 and i + 1 == stop:
        return ms, 1
    if (sign == 43 or sign == 45) and stop - i == 6 and byte_at(buf, i + 3) == 58:
        hours, minutes = digits(buf, i + 1, 2), digits(buf, i + 4, 2)
        if 0 <= hours <= 23 and 0 <= minutes <= 59:
            shift = (hours * 60 + minutes) * 60_000
            return (ms - shift if sign == 43 else ms + shift), 1
    return 0, -1


@njit(cache=True, nogil=True)
def iso(buf, a, n):  # type: ignore[no-untyped-def]
    """(milliseconds, 1 with a zone | 0 without | -1 not understood) of an ISO 8601 date and time."""
    minute = _minute(buf, a) if n >= 19 else NO_TIME
    if minute == NO_TIME:
        return 0, -1
    ms, how = _within_minute(buf, a + 16, a + n)
    return minute * 60_000 + ms, how


@njit(cache=True, nogil=True)
def _isos(buf, pos, length, kind, field, odd, out, zoned, only_instants):  # type: ignore[no-untyped-def]
    """Milliseconds of ISO texts into `out`, and in `zoned` whether they name a zone.

    Events that follow each other share their minute: its date is worked out once.
    """
    buf, pos, length, kind = borrowed(buf), borrowed(pos), borrowed(length), borrowed(kind)
    odd, out, zoned = borrowed(odd), borrowed(out), borrowed(zoned)
    word0 = word1 = np.uint64(0)
    minute = NO_TIME
    for r in range(odd.shape[0]):
        what = kind[field, r]
        if only_instants and what != INSTANT:
            continue
        out[r] = NO_TIME
        zoned[r] = True
        a = np.int64(pos[field, r])
        n = np.int64(length[field, r])
        if odd[r] or not is_present(what, n):
            continue
        if (what != STRING and what != INSTANT) or n < 19:
            odd[r] = True
            continue
        here0 = load_u64(buf, a)
        here1 = load_u64(buf, a + 8)
        if here0 != word0 or here1 != word1:
            word0, word1 = here0, here1
            minute = _minute(buf, a)
        ms, how = _within_minute(buf, a + 16, a + n)
        if minute == NO_TIME or how < 0:
            odd[r] = True
            continue
        out[r] = minute * 60_000 + ms
        zoned[r] = how == 1


@njit(cache=True, nogil=True)
def _epochs(buf, pos, length, kind, field, odd, form, out):  # type: ignore[no-untyped-def]
    """Milliseconds of whole epoch numbers into `out`."""
    buf, pos, length, kind = borrowed(buf), borrowed(pos), borrowed(length), borrowed(kind)
    for r in range(odd.shape[0]):
        out[r] = NO_TIME
        what = kind[field, r]
        n = np.int64(length[field, r])
        if odd[r] or what == INSTANT or not is_present(what, n):
            continue
        number = -1
        if what in (NUMBER, STRING) and n <= 18:
            number = digits(buf, np.int64(pos[field, r]), n)
        if number < 0 or (form == TIME_S and number >= 1_000_000_000_000):
            odd[r] = True
        elif form == TIME_S:
            out[r] = number * 1000
        else:
            out[r] = number if form == TIME_MS else number // 1000


class TimeColumn:
    """Times that a mapping writes as `form`."""

    def __init__(self, field: int, form: TimeFormat, expected: int) -> None:
        self._field = field
        self._form = form
        self._out = np.empty(expected, np.int64)

    def add(self, spans: Spans, at: int) -> None:
        stop = at + spans.rows
        self._out = grown(self._out, at, stop)
        out = self._out[at:stop]
        if self._form.kind == "strptime":
            spans.odd[:] = True
            return
        fields = (spans.buf, spans.pos, spans.length, spans.kind, self._field, spans.odd)
        epoch = self._form.kind != "iso"
        if epoch:
            _epochs(*fields, _FORMS[self._form.kind], out)
        if not epoch or (spans.kind[self._field] == INSTANT).any():
            zoned = np.ones(spans.rows, np.bool_)
            _isos(*fields, out, zoned, epoch)
            self._localize(out, ~zoned & ~spans.odd)

    def _localize(self, out: NDArray[np.int64], local: NDArray[np.bool_]) -> None:
        if self._form.zone != "UTC" and local.any():
            out[local] = local_to_utc(out[local], self._form.zone)

    def values(self, rows: int) -> NDArray[np.int64]:
        return self._out[:rows]

    def array(self, rows: int) -> pa.Array:
        out = self._out[:rows]
        missing = out == NO_TIME
        whole = pa.array(out, pa.int64(), mask=missing if missing.any() else None)
        return whole.view(pa.timestamp("ms", "UTC"))


def local_to_utc(ms: NDArray[np.int64], zone: str) -> NDArray[np.int64]:
    """Milliseconds of local time as UTC: the earlier of two, the later where the clock jumped."""
    if zone == "UTC":
        return ms
    naive = pa.array(ms).view(pa.timestamp("ms"))
    aware = pc.assume_timezone(naive, zone, ambiguous="earliest", nonexistent="latest")
    local: NDArray[np.int64] = aware.cast(pa.int64()).to_numpy()
    return local


def exact_time(value: Any, form: TimeFormat) -> int:
    """Milliseconds; finer digits are cut off. Raises Rejected for what is no time."""
    if isinstance(value, bool) or not isinstance(value, (str, int)):
        raise Rejected(RejectReason.WRONG_TYPE)
    try:
        if isinstance(value, Instant):
            return _exact_iso(value, form.zone)
        if form.kind == "iso":
            if isinstance(value, (int, Digits)):
                raise Rejected(RejectReason.WRONG_TYPE)
            return _exact_iso(value, form.zone)
        if form.kind == "strptime":
            assert form.strptime is not None
            return _of_datetime(dt.datetime.strptime(str(value), form.strptime), form.zone)
        return _exact_epoch(decimal_of(value), _TO_MS[form.kind])
    except (ValueError, ArithmeticError):
        raise Rejected(RejectReason.NO_TIME) from None


def _exact_epoch(number: Decimal | None, power: int) -> int:
    if number is None:
        raise Rejected(RejectReason.NO_TIME)
    if number.adjusted() + power > 18:
        raise Rejected(RejectReason.ABSURD_TIME)
    ms = int(_DOWN.scaleb(number, power).to_integral_value(ROUND_FLOOR))
    if abs(ms) > EPOCH_MS_MAX:
        raise Rejected(RejectReason.ABSURD_TIME)
    return ms


def _exact_iso(text: str, zone: str) -> int:
    raw = np.frombuffer(text.encode(), np.uint8)
    ms, how = iso(raw, 0, len(raw))
    if how < 0:
        return _of_datetime(dt.datetime.fromisoformat(text), zone)
    return int(ms) if how == 1 else _of_local(int(ms), zone)


def _of_datetime(time: dt.datetime, zone: str) -> int:
    """Of a time with an offset, or of local time in `zone`."""
    aware = time.tzinfo is not None
    naive = time.astimezone(dt.UTC).replace(tzinfo=None) if aware else time
    ms = (naive - dt.datetime(1970, 1, 1)) // dt.timedelta(milliseconds=1)
    return ms if aware else _of_local(ms, zone)


def _of_local(ms: int, zone: str) -> int:
    return int(local_to_utc(np.array([ms]), zone)[0])
