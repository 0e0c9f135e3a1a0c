"""What happens to a source that no record tells of: a closed list, the words of the view `bi.incidents`."""

from __future__ import annotations

from typing import Final, NamedTuple


class Incident(NamedTuple):
    """What it means for the figures, and what to do."""

    meaning: str
    remedy: str


LOST_RECORDS: Final = "lost_records"
PARTITION_ADDED: Final = "partition_added"

INCIDENTS: Final[dict[str, Incident]] = {
    LOST_RECORDS: Incident(
        "the broker had deleted records before they were read: they are in no table, and in no balance",
        "give the topic a longer retention than the longest stop; what is missing may be elsewhere",
    ),
    PARTITION_ADDED: Incident(
        "the topic has a new partition: visitors who moved to it began new sessions there",
        "nothing, if it was wanted: add partitions while the pipeline is drained to have no session cut",
    ),
}
