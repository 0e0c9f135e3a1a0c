"""The total order of a visitor's events: (event_at, event_id, partition, position)."""

from __future__ import annotations

from numba import njit

from pipeline.core.raw import inlined


@inlined
def _before(at, event_id, event_id_offsets, partition, position, a, b):  # type: ignore[no-untyped-def]
    """Whether event a comes before event b of the same visitor: (event_at, event_id, partition, position)."""
    if at[a] != at[b]:
        return at[a] < at[b]
    i, i_stop = event_id_offsets[a], event_id_offsets[a + 1]
    k, k_stop = event_id_offsets[b], event_id_offsets[b + 1]
    while i < i_stop and k < k_stop:
        if event_id[i] != event_id[k]:
            return event_id[i] < event_id[k]
        i += 1
        k += 1
    if i_stop - i != k_stop - k:
        return i_stop - i < k_stop - k
    if partition[a] != partition[b]:
        return partition[a] < partition[b]
    return position[a] < position[b]


@njit(cache=True, nogil=True)
def sort_visitor(at, event_id, event_id_offsets, partition, position, order, start, stop, spare):  # type: ignore[no-untyped-def]
    """Sorts order[start:stop] by `_before`: insertion for the usual few, else merging (stable)."""
    width = 16
    for low in range(start, stop, width):
        for i in range(low + 1, min(low + width, stop)):
            row = order[i]
            k = i
            while k > low and _before(at, event_id, event_id_offsets, partition, position, row, order[k - 1]):
                order[k] = order[k - 1]
                k -= 1
            order[k] = row
    while width < stop - start:
        for low in range(start, stop, 2 * width):
            middle = min(low + width, stop)
            high = min(low + 2 * width, stop)
            i, k = low, middle
            for n in range(low, high):
                is_left = i < middle
                if is_left and k < high:
                    is_left = not _before(
                        at, event_id, event_id_offsets, partition, position, order[k], order[i]
                    )
                if is_left:
                    spare[n] = order[i]
                    i += 1
                else:
                    spare[n] = order[k]
                    k += 1
        for n in range(start, stop):  # a slice would cost two seconds of compilation
            order[n] = spare[n]
        width *= 2
