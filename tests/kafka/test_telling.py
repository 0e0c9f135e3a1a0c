"""Rows become messages: all of a row, under names that are declared, with ids that never change."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import msgspec
import pytest

from schemas.messages import TOPICS, Message
from sinks.kafka.telling import tell, topic_of
from tests.kafka.told import Said, expected
from tests.sinks.rows import NO_ID, SAMPLES, START, at, batch, became, set_aside, thing, transition

README = Path(__file__).parents[2] / "schemas" / "README.md"
SHAPES = {shape.SCHEMA: shape for shapes in TOPICS.values() for shape in shapes}

LATER = at("2024-05-01T10:59:59.999")
ROWS: dict[str, list[dict[str, Any]]] = {
    "transitions": [
        transition(),
        transition(
            1, 2, from_stage="view", from_rank=1, to_stage="order", to_rank=4, kind="skip", at=LATER,
            skipped="cart>checkout", from_entered_at=START, value_e4=-5, device="phone", campaign='"b" ключ',
        ),
        transition(2, visitor_id="v:2", value_e4=2**63 - 1, currency=""),
    ],
    "objects": [
        thing(1, state="abandoned", final_state="abandoned", abandoned_at=LATER, deadline_at=LATER),
        thing(2, state="superseded", final_state="abandoned", successor_id=(3).to_bytes(16, "big")),
        thing(3, state="abandoned", final_state="abandoned", kind="browse", products=[], abandoned_at=LATER),
        *(thing(n, state=state) for n, state in enumerate(("open", "at_risk", "completed", "withdrawn"), 4)),
    ],
    "outcomes": [
        became(1, state="recovered", order_id="o1", recovered_value_e4=1_234_500, currency="EUR"),
        became(1, state="void", order_id="o2", version=2),
        became(2, state="expired"),
    ],
    "rejected_events": [
        set_aside(1, event_at=LATER),
        set_aside(2, payload=bytes(range(256)), received_at=None),
        set_aside(3, payload='{"name": "Zoë \u0000 🛒"}'.encode()),
    ],
}  # fmt: skip


def said(table: str, rows: list[dict[str, Any]]) -> list[Said]:
    told = tell(table, batch(table, rows))
    assert len(told.keys) == len(told.values) == len(told.message_ids)
    return [
        Said(told.schema, key, json.loads(value)) for key, value in zip(told.keys, told.values, strict=True)
    ]


@pytest.mark.parametrize("table", ROWS)
def test_a_message_says_all_of_its_row_and_rows_that_are_no_news_say_nothing(table: str) -> None:
    wanted = [message for row in ROWS[table] if (message := expected(table, row))]
    assert said(table, ROWS[table]) == wanted
    assert len(wanted) == {"objects": 2, "outcomes": 2}.get(table, 3)


@pytest.mark.parametrize("table", ROWS)
def test_a_message_has_exactly_the_fields_that_are_declared_in_their_order(table: str) -> None:
    told = tell(table, batch(table, ROWS[table]))
    shape = SHAPES[told.schema]
    for value in told.values:
        assert list(json.loads(value)) == ["type", *shape.__struct_fields__]
        assert msgspec.json.encode(msgspec.json.decode(value, type=shape)) == value  # types and patterns, too


def test_shapes_are_told_apart_by_type_and_by_schema() -> None:
    shapes = list(SHAPES.values())
    assert len(shapes) == sum(len(shapes) for shapes in TOPICS.values())
    both = TOPICS["abandonments"]
    told = [tell(table, batch(table, ROWS[table])) for table in ("objects", "outcomes")]
    for wanted, one in zip(both, told, strict=True):
        assert isinstance(msgspec.json.decode(one.values[0], type=both[0] | both[1]), wanted)


def test_an_id_is_of_the_row_and_its_version_wherever_the_row_stands() -> None:
    for table, rows in ROWS.items():
        news = [row for row in rows if expected(table, row)]
        told = tell(table, batch(table, news)).message_ids
        assert len(set(told)) == len(news)
        assert tell(table, batch(table, news[::-1])).message_ids == told[::-1]
        assert tell(table, batch(table, news).slice(1)).message_ids == told[1:]
    versions = [thing(1, state="abandoned", version=number) for number in (1, 2)]
    assert len(set(tell("objects", batch("objects", versions)).message_ids)) == 2


def test_an_id_never_changes() -> None:
    """Whoever has seen messages of one release must know them in the next."""
    rows = {
        "transitions": transition(),
        "objects": thing(1, state="abandoned"),
        "rejected_events": set_aside(),
    }
    rows["outcomes"] = became(1, state="void")
    assert {table: tell(table, batch(table, [row])).message_ids for table, row in rows.items()} == {
        "transitions": ["9c91df3be337b621a7a00a4677165ad0"],
        "objects": ["95ddc720ea0a49c1e1db0b58729d8d15"],
        "rejected_events": ["e2af13bc5a96998fabe67b140a10ef61"],
        "outcomes": ["fd359e949cb61df75510214f87f456b7"],
    }


def test_what_takes_an_abandonment_back_has_its_key() -> None:
    chain = (7).to_bytes(16, "big")
    cart = thing(1, state="abandoned", object_id=(8).to_bytes(16, "big"), chain_id=chain, session_id=NO_ID)
    told = tell("objects", batch("objects", [cart]))
    assert tell("outcomes", batch("outcomes", [became(7, state="void", chain_id=chain)])).keys == told.keys


def test_no_rows_are_no_messages() -> None:
    for table in ROWS:
        assert tell(table, batch(table, [SAMPLES[table]]).slice(0, 0)).values == []


def test_other_tables_have_no_topic() -> None:
    assert {table for table in SAMPLES if topic_of(table)} == set(ROWS)


def table_of(shape: type[Message]) -> str:
    """The fields of a shape as the README writes them."""
    schema = msgspec.json.schema(shape)["$defs"][shape.__name__]
    lines = [
        f"| `{name}` | {field['description']} |"
        for name, field in schema["properties"].items()
        if name != "type"
    ]
    tag = shape.__struct_config__.tag
    return "\n".join(
        [f"**`{shape.SCHEMA}`**, `type` is `{tag}`: {shape.__doc__}\n", "| field | |", "|---|---|", *lines]
    )


@pytest.mark.parametrize("shape", SHAPES.values(), ids=SHAPES)
def test_the_readme_tells_every_field_of_a_message(shape: type[Message]) -> None:
    assert table_of(shape) in README.read_text()
