"""The canonical event: what one record of a clickstream can say, and in which type.

`FIELDS` is the contract; `schema(needed)` is the Arrow schema of an event batch that carries only the
fields that the running journeys and views ask for. Text that is missing is '' (never null), because
every view shows '' for "not known"; a time that may be missing is null.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final, Literal

import pyarrow as pa

Kind = Literal["word", "text", "time", "money", "number", "flag", "list", "json"]

ARROW: Final[dict[Kind, pa.DataType]] = {
    "word": pa.dictionary(pa.int32(), pa.string()),  # small cardinality
    "text": pa.string(),
    "time": pa.timestamp("ms", "UTC"),
    "money": pa.int64(),  # 1/10,000 of the currency unit
    "number": pa.int64(),
    "flag": pa.bool_(),
    "list": pa.list_(pa.string()),
    "json": pa.string(),  # the JSON text of an object
}


@dataclass(frozen=True)
class Field:
    """One canonical field: its kind decides its Arrow type and what a wrong type means."""

    name: str
    kind: Kind
    doc: str


FIELDS: Final[dict[str, Field]] = {
    field.name: field
    for field in (
        Field("event_id", "text", "the producer's id of this event; from the position where there is none"),
        Field("event_at", "time", "when it happened, by the producer's clock"),
        Field("received_at", "time", "when a server first saw it"),
        Field("event", "word", "the event's name: page_view, add_to_cart, ..."),
        Field("visitor_id", "text", "device or browser; a record without one is rejected"),
        Field("user_id", "text", "the account, where known"),
        Field("site", "word", "the shop or app"),
        Field("url", "text", "page address"),
        Field("referrer", "text", "address of the page before"),
        Field("source", "word", "utm_source or the like"),
        Field("medium", "word", "utm_medium or the like"),
        Field("campaign", "word", "utm_campaign or the like"),
        Field("channel", "word", "given by the producer, else by the channel rules"),
        Field("device", "word", "desktop, mobile, tablet, ..."),
        Field("country", "word", "ISO 3166 code"),
        Field("cart_id", "text", "the shop's id of the cart"),
        Field("order_id", "text", "the shop's id of the order"),
        Field("products", "list", "product ids"),
        Field("quantity", "number", "pieces"),
        Field("value", "money", "money at stake"),
        Field("currency", "word", "ISO 4217 code"),
        Field("passive", "flag", "not done by the visitor (push sent, server job, page leave)"),
        Field("properties", "json", "anything else; journeys may ask for `properties.NAME`"),
    )
}

PROPERTY_PREFIX: Final = "properties."
"""`properties.NAME` is a text column of its own wherever a journey asks for it: a string as it is, a
number or boolean as its JSON text, '' where missing."""

ALWAYS: Final = ("event_id", "event_at", "received_at", "event", "visitor_id", "site", "passive")
"""Fields that sessionising itself needs."""

VIEWS: Final = (
    "user_id",
    "url",
    "referrer",
    "source",
    "medium",
    "campaign",
    "channel",
    "device",
    "country",
    "value",
    "currency",
)
"""Fields that the views show."""

FLAG_CLOCK_SKEW: Final = 1
"""`event_at` lay over 5 minutes ahead of `received_at` and was clamped to it."""
FLAG_BAD_VALUE: Final = 2
"""`value` was negative, not a number or out of range, or `currency` odd: value 0."""

FLAGS: Final = "flags"
"""A uint8 column beside the fields: a sum of FLAG_*."""


def arrow_type(name: str) -> pa.DataType:
    """The Arrow type of a canonical field or of a `properties.NAME` column."""
    if name.startswith(PROPERTY_PREFIX):
        return pa.string()
    return ARROW[FIELDS[name].kind]


def schema(needed: Iterable[str]) -> pa.Schema:
    """The schema of an event batch with the fields `needed` beside those that are always there."""
    names = list(dict.fromkeys((*ALWAYS, *needed)))
    fields = [pa.field(name, arrow_type(name), nullable=name == "received_at") for name in names]
    return pa.schema([*fields, pa.field(FLAGS, pa.uint8(), nullable=False)])
