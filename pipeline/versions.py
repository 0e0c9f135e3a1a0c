"""What a run tells of its journeys at its start: their stages, and which version the default views show."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Final

import pyarrow as pa

from pipeline.settings import BadSettings
from schemas.journeys import Journey
from schemas.tables import ACTIVE_VERSIONS, STAGES

_WANTED: Final = re.compile(r"([a-z0-9_]+):(\d{1,5})")


def active_versions(journeys: Sequence[Journey], wanted: Sequence[str]) -> dict[str, int]:
    """The highest version of each journey, or the one that `wanted` (`NAME:VERSION`) names.

    Raises BadSettings where `wanted` names a version that does not run, or two of one journey.
    """
    chosen, problems = _chosen(journeys, wanted)
    if problems:
        raise BadSettings(problems)
    highest: dict[str, int] = {}
    for journey in journeys:
        highest[journey.name] = max(journey.version, highest.get(journey.name, 0))
    return highest | chosen


def _chosen(journeys: Sequence[Journey], wanted: Sequence[str]) -> tuple[dict[str, int], list[str]]:
    known = {f"{journey.name}:{journey.version}" for journey in journeys}
    chosen: dict[str, int] = {}
    problems = []
    for text in wanted:
        found = _WANTED.fullmatch(text)
        if found is None:
            problems.append(f"--active: {text!r} names no version\n  hint: write it like checkout:2")
        elif text not in known:
            there = ", ".join(sorted(known))
            problems.append(f"--active: {text} does not run here\n  hint: what runs is {there}")
        elif chosen.setdefault(found[1], int(found[2])) != int(found[2]):
            problems.append(
                f"--active: two versions of {found[1]}\n  hint: one is active; bi.*_all show all of them"
            )
    return chosen, problems


def stages(journeys: Sequence[Journey]) -> pa.RecordBatch:
    """Rows of the table stages."""
    rows = [
        {
            "journey": journey.name,
            "journey_version": journey.version,
            "rank": stage.rank,
            "stage": stage.name,
            "is_optional": stage.optional,
            "is_conversion": stage.rank == journey.conversion,
            "has_objects": journey.objects is not None,
        }
        for journey in journeys
        for stage in journey.stages
    ]
    return pa.RecordBatch.from_pylist(rows, schema=STAGES)


def rows(active: Mapping[str, int]) -> pa.RecordBatch:
    """Rows of the table active_versions."""
    journeys = pa.array(list(active), pa.string()).dictionary_encode()
    versions = pa.array(list(active.values()), pa.uint16())
    return pa.RecordBatch.from_arrays([journeys, versions], schema=ACTIVE_VERSIONS)
