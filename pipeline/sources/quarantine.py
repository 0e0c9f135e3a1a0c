"""Records that somebody has set aside by name: rejected unread, so that they can do no more harm.

They are named as `SOURCE:PARTITION:POSITION`. What was named once stays so for the life of the state folder:
it is part of the input, and a run that goes on must not meet the record again.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from pipeline.core.decode.aside import AsideDecoder
from pipeline.core.decode.decoder import Reject
from pipeline.sources.blocks import Block, LiveReader, Reader
from schemas.rejects import PAYLOAD_BYTES_MAX, RejectReason

FILE: Final = "quarantine.txt"


@dataclass(frozen=True)
class Named:
    """One record, by where it is."""

    source: str
    partition: int
    position: int

    @classmethod
    def parse(cls, text: str) -> Named:
        """Raises ValueError."""
        source, partition, position = text.rsplit(":", 2)
        return cls(source, int(partition), int(position))

    def __str__(self) -> str:
        return f"{self.source}:{self.partition}:{self.position}"


def problems(names: Iterable[str], sources: Sequence[tuple[str, int]]) -> list[str]:
    """What is wrong with names that were given, each with a hint; `sources` are (name, partition)."""
    found = []
    for text in names:
        try:
            named = Named.parse(text)
        except ValueError:
            found.append(
                f"--quarantine: {text!r} names no record\n"
                "  hint: SOURCE:PARTITION:POSITION, as the message of the run that failed has it"
            )
            continue
        if (named.source, named.partition) not in sources:
            known = ", ".join(f"{source}:{number}" for source, number in sources)
            found.append(f"--quarantine: {text}: no such source and partition\n  hint: there are {known}")
    return found


def keep(folder: Path, names: Iterable[str]) -> None:
    """Writes names down, durably, before they take effect."""
    known = _kept(folder)
    added = [str(Named.parse(text)) for text in names]
    if set(added) <= set(known):
        return
    draft = folder / f"{FILE}.part"
    with draft.open("w") as file:
        file.write("".join(f"{name}\n" for name in dict.fromkeys([*known, *added])))
        file.flush()
        os.fsync(file.fileno())
    draft.replace(folder / FILE)


def positions_of(folder: Path, source: str, partition: int) -> NDArray[np.int64]:
    """What is named of a partition, in order."""
    named = map(Named.parse, _kept(folder))
    mine = (one.position for one in named if (one.source, one.partition) == (source, partition))
    return np.array(sorted(mine), np.int64)


def _kept(folder: Path) -> list[str]:
    path = folder / FILE
    return path.read_text().splitlines() if path.exists() else []


class QuarantineReader:
    """Another reader's records, with those at `positions` rejected. Where the reader can say what comes next,
    such a record is not even decoded.
    """

    def __init__(
        self, reader: Reader | LiveReader, decoder: AsideDecoder, positions: NDArray[np.int64]
    ) -> None:
        self._reader = reader
        self._decoder = decoder
        self._positions = positions

    @property
    def bytes_read(self) -> int:
        return self._reader.bytes_read

    @property
    def next_position(self) -> int:
        """The position of the record that comes next, or -1 where the reader cannot say."""
        return getattr(self._reader, "next_position", -1)

    def read(self, rows_max: int) -> Any:
        """What the other reads, without them."""
        at = self.next_position
        if at >= 0:
            following = self._positions[np.searchsorted(self._positions, at) :]
            ahead = int(following[0]) - at if len(following) else rows_max
            self._decoder.aside = ahead == 0
            rows_max = min(rows_max, max(ahead, 1))
        try:
            block = self._reader.read(rows_max)
        finally:
            self._decoder.aside = False
        return set_aside(block, self._positions) if isinstance(block, Block) else block

    def __getattr__(self, name: str) -> Any:
        """Whatever else the other can, as what reads a topic can."""
        return getattr(self._reader, name)

    def dump(self) -> dict[str, Any]:
        return self._reader.dump()

    def load(self, state: dict[str, Any]) -> None:
        self._reader.load(state)

    def close(self) -> None:
        self._reader.close()


def set_aside(block: Block, positions: NDArray[np.int64]) -> Block:
    """The block with its records at `positions` rejected, whatever they were."""
    named = np.isin(block.position, positions)
    if not named.any():
        return block
    decoded = block.decoded
    kept = ~named[decoded.rows]
    others = [reject for reject in decoded.rejects if not named[reject.row]]
    aside = [
        Reject(row, RejectReason.QUARANTINED, decoded.payload(row)[:PAYLOAD_BYTES_MAX])
        for row in np.flatnonzero(named).tolist()
    ]
    rejects = sorted([*others, *aside], key=lambda reject: reject.row)
    batch = decoded.batch.filter(pa.array(kept))
    return Block(replace(decoded, batch=batch, rows=decoded.rows[kept], rejects=rejects), block.position)
