"""Every story that the oracle's tests tell by hand, told to the core too: at once, and record by record."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

import pytest

from schemas.journeys import Journey
from schemas.mappings import Filter
from tests import stories, test_oracle, test_oracle_walk
from tests.differences import assert_same
from tests.harness import Way, expected, run_core
from tests.oracle import Rows, Settings
from tests.strategies import on

TOLD = [
    test
    for module in (test_oracle, test_oracle_walk)
    for name, test in inspect.getmembers(module, inspect.isfunction)
    if name.startswith("test_") and not inspect.signature(test).parameters
]


def tell_both(story: str, journeys: tuple[Journey, ...] = (stories.SHOP,), **settings: Any) -> Rows:
    """What the oracle says, once the core has said the same."""
    told = stories.tell(story, journeys, **settings)
    filters = (Filter("test", on("test")),) if settings.pop("is_filtered", None) else ()
    partitions, as_set = stories.records(story), Settings(**settings)
    for then in (1, 1000):
        way = Way(batches=(), then=then, filters=filters)
        assert_same(run_core(partitions, journeys, as_set, way), expected(partitions, journeys, as_set, way))
    return told


@pytest.mark.parametrize("test", TOLD, ids=lambda test: test.__name__)
def test_the_core_tells_it_too(test: Callable[[], None], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(test.__globals__, "tell", tell_both)
    test()
