"""A scope as text in the tables, and as people read it."""

from __future__ import annotations

import pytest

from pipeline.alerts.words import scope
from pipeline.core.detect import Scope
from pipeline.core.detect.rows import scope_text
from tests.alerts.made import alert

STEP = Scope("purchase", 1, 1, "cart")


@pytest.mark.parametrize(
    ("segment", "text", "read"),
    [
        ((), "", "everybody"),
        ((("device", "mobile"),), "device=mobile", "device=mobile"),
        (
            (("country", "DE"), ("device", "mobile")),
            "country=DE, device=mobile",
            "country=DE and device=mobile",
        ),
        ((("channel", "a, b & 5 %"),), "channel=a%2C b %26 5 %25", "channel=a%2C b %26 5 %25"),
    ],
)
def test_a_scope_is_text_whose_parts_can_be_told_apart(
    segment: tuple[tuple[str, str], ...], text: str, read: str
) -> None:
    assert scope_text(STEP._replace(segment=segment)) == text
    assert scope(text) == read
    assert len(alert(segment=text).parts) == len(segment)
