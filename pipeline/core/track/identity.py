"""The id of a session."""

from __future__ import annotations

from numba import njit, uint8, uint64

from pipeline.core.hashing import murmur128
from pipeline.core.track.layout import REF_BITS


@njit(nogil=True, forceinline=True)
def id_of(heap, at, n, started_at, lane, site, site_start, site_stop, scratch):  # type: ignore[no-untyped-def]
    """The id of a session of the visitor heap[at:at+n]: see `session_id`."""
    end = 0
    for k in range(site_start, site_stop):
        scratch[end] = site[k]
        end += 1
    scratch[end] = 0
    end += 1
    for k in range(at, at + n):
        scratch[end] = heap[k]
        end += 1
    scratch[end] = 0
    end += 1
    for k in range(8):
        scratch[end + k] = uint8((uint64(started_at) >> uint64(8 * k)) & uint64(255))
    scratch[end + 8] = uint8(lane & 255)
    scratch[end + 9] = uint8(lane >> 8)
    return murmur128(scratch, 0, end + 10)


@njit(cache=True, nogil=True)
def session_id(session, heap, site, site_start, site_stop, scratch):  # type: ignore[no-untyped-def]
    """The two halves of murmurHash3_128 over: site, a zero byte, visitor_id, a zero byte, started_at in
    milliseconds (8 bytes, little endian), lane (2 bytes). `session` is a SESSION_OUT; `scratch` has room
    for site + visitor + 12.
    """
    at, n = session.visitor >> REF_BITS, session.visitor & ((1 << REF_BITS) - 1)
    return id_of(heap, at, n, session.started_at, session.lane, site, site_start, site_stop, scratch)
