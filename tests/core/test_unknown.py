"""Names that no journey asks for are counted, whatever the batches, and only so many of them."""

from __future__ import annotations

import pyarrow as pa
import pytest

from pipeline.core.admit import unknown
from pipeline.core.admit.unknown import OTHER, UnknownNames, names_asked_for
from schemas.journeys import load_journeys


def words(*names: str) -> pa.DictionaryArray:
    return pa.array(names).dictionary_encode()


def test_the_names_in_all_rules_are_asked_for() -> None:
    asked = names_asked_for(load_journeys(["w1"]))
    assert {"page_view", "purchase", "share"} <= asked
    assert "scroll" not in asked


def test_totals_are_absolute_and_only_of_strange_names() -> None:
    names = UnknownNames(frozenset({"page_view"}))
    assert names.apply(words("page_view", "scroll", "zoom", "scroll")) == {"scroll": 2, "zoom": 1}
    assert names.apply(words("page_view", "scroll")) == {"scroll": 3}
    assert names.apply(words("page_view")) == {}


@pytest.mark.parametrize("cut", range(7))
def test_beyond_the_limit_the_first_names_stay_wherever_the_batch_is_cut(
    cut: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(unknown, "NAMES_MAX", 2)
    stream = ["b", "a", "c", "b", "d", "a"]
    names = UnknownNames(frozenset())
    for part in (stream[:cut], stream[cut:]):
        if part:
            names.apply(words(*part))
    assert names.counts == {"b": 2, "a": 2, OTHER: 2}
