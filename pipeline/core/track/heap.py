"""The texts of a shard's open sessions: now and then only those in use are copied to a fresh heap."""

from __future__ import annotations

from typing import Final

import numpy as np
from numba import int64, njit
from numpy.typing import NDArray

from pipeline.core.raw import borrowed, copy_bytes
from pipeline.core.track.layout import SESSION_HAS_USER, TEXT_MAX, TEXT_UNIT
from pipeline.core.track.slots import text_end

HEAP_SLACK_BYTES: Final = 1 << 20
"""The text heap is compacted when it is twice what is alive plus this: less often for small states."""


class TooMuchText(Exception):  # noqa: N818  a verdict on the deployment
    """One shard's open sessions have more text than it can address."""


@njit(nogil=True, forceinline=True)
def end_of(heap, session):  # type: ignore[no-untyped-def]
    """Where a session's visitor, and the user after it, end."""
    end = text_end(heap, session.visitor)
    return text_end(heap, end) if session.flags & SESSION_HAS_USER else end


@njit(cache=True, nogil=True)
def _alive(heap, sessions):  # type: ignore[no-untyped-def]
    """Units of text that sessions refer to."""
    heap, sessions = borrowed(heap), borrowed(sessions)
    units = 0
    for r in range(sessions.shape[0]):
        session = sessions[r]
        if session.key == 0:
            continue
        units += end_of(heap, session) - session.visitor
        if session.entry_url != 0:
            units += text_end(heap, session.entry_url) - session.entry_url
        if session.exit_url != session.entry_url:
            units += text_end(heap, session.exit_url) - session.exit_url
    return units


@njit(nogil=True, forceinline=True)
def _copy(heap, first, end, fresh, at):  # type: ignore[no-untyped-def]
    copy_bytes(fresh, at * TEXT_UNIT, heap, int64(first) * TEXT_UNIT, (end - int64(first)) * TEXT_UNIT)
    return at + end - int64(first)


@njit(cache=True, nogil=True)
def _copy_texts(heap, sessions, fresh):  # type: ignore[no-untyped-def]
    """Copies what sessions refer to into `fresh`, and points them there."""
    heap, sessions, fresh = borrowed(heap), borrowed(sessions), borrowed(fresh)
    used = int64(1)
    for r in range(sessions.shape[0]):
        session = sessions[r]
        if session.key == 0:
            continue
        first, used = used, _copy(heap, session.visitor, end_of(heap, session), fresh, used)
        session.visitor = first
        entry, last = session.entry_url, session.exit_url
        if entry != 0:
            first, used = used, _copy(heap, entry, text_end(heap, entry), fresh, used)
            session.entry_url = first
            session.exit_url = first
        if last != entry:
            first, used = used, _copy(heap, last, text_end(heap, last), fresh, used)
            session.exit_url = first


def compact(heap: NDArray[np.uint8], sessions: NDArray[np.void], more: int) -> tuple[NDArray[np.uint8], int]:
    """A heap with only what `sessions` refer to (they are changed to refer to it), the bytes that takes, and
    room for `more` bytes and to grow.
    """
    alive = (1 + int(_alive(heap, sessions))) * TEXT_UNIT
    size = 2 * alive + more + HEAP_SLACK_BYTES if more else alive
    if size > TEXT_MAX:
        raise TooMuchText(
            f"{alive:,} bytes of text in the open sessions of one shard: it takes a deployment of more"
        )
    fresh = np.zeros(size, np.uint8)
    _copy_texts(heap, sessions, fresh)
    return fresh, alive
