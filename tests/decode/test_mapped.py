"""What a mapping says of a field, in the fast path and the exact decoder alike."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec
import pytest

from pipeline.core.decode.decoder import Decoder, TimeBounds
from schemas.mappings import load_mapping
from tests.decode.reference import block, exact_fates, fates

MAPPING = """\
mapping: theirs
fields:
  event_at: {path: t, format: epoch_ms}
  event: {path: name, default: page_view}
  visitor_id: {paths: [anonymousId, user.id]}
  user_id: {path: user.id, values: {"0": nobody}}
  site: {const: shop}
  source:
    path: src
    values: {g: google, gg: google, "true": yes_, "1.50": fraction, "7": seven}
    default: google
  products: {path: items, default: [none]}
  quantity: {path: n, default: 1}
  value: {path: revenue, default: 9.99}
  currency: {path: cur, default: eur}
  passive: {path: auto, values: {"Y": true, "0.0": false}}
event_names: {Product Viewed: view_item, push: push_sent}
passive_events: [push_sent]
properties: data.extra
"""
NEEDED = ("user_id", "site", "source", "quantity", "value", "currency", "passive")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("mappings")


def event(
    folder: Path, text: str = MAPPING, needed: tuple[str, ...] = NEEDED, **record: Any
) -> dict[str, Any]:
    """The event of a record under a mapping, the same by both ways."""
    path = folder / "mapping.yaml"
    path.write_text(text)
    mapping, bounds = load_mapping(str(path)), TimeBounds(1_800_000_000_000)
    decoder = Decoder(mapping, needed, bounds)
    line = msgspec.json.encode({"t": 1_773_397_274_165, "anonymousId": "v", **record})
    (fast,) = fates(decoder.lines(block([line]), 0, 1)[0])
    (exact,) = exact_fates(line, mapping, decoder.needed, bounds)
    assert fast == exact
    assert isinstance(fast, dict), fast
    return fast


def test_defaults_stand_where_no_path_is_there(folder: Path) -> None:
    for absent in (
        {},
        dict.fromkeys(("name", "src", "n", "revenue", "cur")),
        dict.fromkeys(("name", "src", "n"), ""),
    ):
        found = event(folder, **absent)
        assert (found["event"], found["source"], found["quantity"]) == ("page_view", "google", 1)
        assert (found["value"], found["currency"], found["site"]) == (99_900, "EUR", "shop")


@pytest.mark.parametrize(
    ("theirs", "ours"),
    [("g", "google"), ("gg", "google"), ("x", "x"), (7, "seven"), (8, "8"), (True, "yes_")],
)
def test_values_are_looked_up_on_the_text_of_any_scalar(folder: Path, theirs: Any, ours: str) -> None:
    assert event(folder, src=theirs)["source"] == ours


def test_values_are_looked_up_on_numbers_as_written(folder: Path) -> None:
    assert event(folder, src=msgspec.Raw(b"1.50"))["source"] == "fraction"
    assert event(folder, auto=msgspec.Raw(b"0.0"))["passive"] is False
    assert event(folder, auto="Y")["passive"] is True
    assert event(folder, user={"id": 0})["user_id"] == "nobody"


def test_the_first_path_that_is_there(folder: Path) -> None:
    assert event(folder, user={"id": "u"})["visitor_id"] == "v"
    assert event(folder, anonymousId=None, user={"id": "u"})["visitor_id"] == "u"
    assert event(folder, anonymousId="", user={"id": 5})["visitor_id"] == "5"


def test_seconds_that_would_overflow_into_a_good_time_are_absurd(folder: Path) -> None:
    wraps = (1_773_397_274_384 + 2**64) // 1000
    path = folder / "seconds.yaml"
    path.write_text(MAPPING.replace("epoch_ms", "epoch_s"))
    decoder = Decoder(load_mapping(str(path)), (), TimeBounds(1_800_000_000_000))
    decoded, _ = decoder.lines(block([b'{"t":%d,"anonymousId":"v"}' % wraps]), 0, 1)
    assert [reject.reason for reject in decoded.rejects] == ["absurd_time"]


def test_event_names_are_mapped_before_passive_ones_are_known(folder: Path) -> None:
    assert event(folder, name="Product Viewed")["event"] == "view_item"
    pushed = event(folder, name="push", auto=False)
    assert (pushed["event"], pushed["passive"]) == ("push_sent", True)


def test_products(folder: Path) -> None:
    def products(**record: Any) -> list[str]:
        found: list[str] = event(folder, needed=("products",), **record)["products"]
        return found

    assert products() == ["none"]
    assert products(items="sku-1") == ["sku-1"]
    assert products(items=["a", 5, None, ""]) == ["a", "5"]
    assert products(items=[{"id": 0}, {"item_id": "b", "id": "c"}, {"sku": ""}, {}]) == ["0", "b"]


def test_properties_of_an_object(folder: Path) -> None:
    needed = ("properties.a", "properties.b", "properties.c", "properties.d", "properties")
    extra = {"a": "x", "b": msgspec.Raw(b"1.50"), "c": True, "d": [1], "e": None}
    found = event(folder, needed=needed, data={"extra": extra})
    assert [found[name] for name in needed[:4]] == ["x", "1.50", "true", ""]
    assert found["properties"] == '{"a":"x","b":1.50,"c":true,"d":[1],"e":null}'


def test_properties_that_are_the_rest(folder: Path) -> None:
    needed = ("properties.src", "properties.other", "properties")
    text = MAPPING.replace("properties: data.extra", "properties: rest")
    found = event(folder, text, needed, src="g", other=-0.5, user={"name": "x"})
    assert found["properties"] == '{"other":-0.5}'
    assert (found["properties.src"], found["properties.other"]) == ("", "-0.5")


def test_many_keys_are_no_obstacle(folder: Path) -> None:
    """More alternatives than there are bits in a word."""
    paths = ", ".join(f"p{n}.id" for n in range(300))
    text = MAPPING.replace("paths: [anonymousId, user.id]", f"paths: [anonymousId, {paths}]")
    assert (
        event(folder, text, anonymousId=None, p299={"id": "last"}, p7={"id": "seventh"})["visitor_id"]
        == "seventh"
    )
