"""What is told on Kafka topics: one shape per kind of message, JSON, in the words of the BI views.

A message says in its header `schema` which shape it has. A field may be added to a shape at any time; where
one is taken away, or its meaning changes, the number of the schema rises.
"""

from __future__ import annotations

from typing import Annotated, ClassVar, Final, Literal

from msgspec import Meta, Struct

Money = Annotated[str, Meta(pattern=r"^-?\d+\.\d{4}$")]
"""An amount as decimal text with four places: a JSON number would be read as a double."""

Time = Annotated[str, Meta(pattern=r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$")]
"""UTC, to the millisecond: 2026-11-27T10:05:00.250Z."""

Id = Annotated[str, Meta(pattern=r"^[0-9a-f]{32}$")]
"""128 bits as hex text, the same as in the views."""


class Message(Struct, frozen=True, tag_field="type"):
    """Fields in the order in which they are written; `type` comes first."""

    SCHEMA: ClassVar[str]


class Transition(Message, frozen=True, tag="transition"):
    """A change of stage within a session. Final when it appears."""

    SCHEMA: ClassVar[str] = "pathline.transition/1"

    site: Annotated[str, Meta(description="shop or app")]
    journey: Annotated[str, Meta(description="name of the journey definition")]
    journey_version: Annotated[int, Meta(description="its version; several may run side by side")]
    visitor_id: Annotated[str, Meta(description="device or browser")]
    person_id: Annotated[str, Meta(description="known person; the visitor as long as nobody is known")]
    session_id: Annotated[Id, Meta(description="session in which it happened")]
    sequence: Annotated[int, Meta(description="1, 2, 3, ... within session and journey")]
    at: Annotated[Time, Meta(description="when it happened")]
    from_stage: Annotated[str, Meta(description="stage that was left, empty on the first")]
    from_rank: Annotated[int, Meta(description="its place in the journey, 0 on the first")]
    to_stage: Annotated[str, Meta(description="stage that was entered")]
    to_rank: Annotated[int, Meta(description="its place in the journey, from 1")]
    kind: Annotated[str, Meta(description="enter, advance, skip, regress or reenter")]
    skipped: Annotated[list[str], Meta(description="stages that are not optional and were passed over")]
    seconds_in_stage: Annotated[float, Meta(description="time in from_stage, 0 on the first")]
    event_id: Annotated[str, Meta(description="event that caused it")]
    value: Annotated[Money, Meta(description="value of that event, in currency")]
    currency: Annotated[str, Meta(description="ISO code, empty when not known")]
    device: Annotated[str, Meta(description="kind of device, empty when not known, as all that follow")]
    channel: Annotated[str, Meta(description="marketing channel")]
    source: Annotated[str, Meta(description="campaign source")]
    medium: Annotated[str, Meta(description="campaign medium")]
    campaign: Annotated[str, Meta(description="campaign name")]
    country: Annotated[str, Meta(description="country code")]


class Abandonment(Message, frozen=True, tag="abandonment"):
    """A visit's browsing, a cart, a checkout or a payment was given up: its deadline passed."""

    SCHEMA: ClassVar[str] = "pathline.abandonment/1"

    site: Annotated[str, Meta(description="shop or app")]
    journey: Annotated[str, Meta(description="name of the journey definition")]
    journey_version: Annotated[int, Meta(description="its version; several may run side by side")]
    visitor_id: Annotated[str, Meta(description="device or browser")]
    person_id: Annotated[str, Meta(description="known person at the last activity; else the visitor")]
    session_id: Annotated[Id, Meta(description="session that opened it")]
    object_id: Annotated[Id, Meta(description="the object that was abandoned")]
    chain_id: Annotated[Id, Meta(description="its chain, which is abandoned once: a retraction names it")]
    kind: Annotated[str, Meta(description="browse, cart, checkout or payment")]
    stage: Annotated[str, Meta(description="stage of the journey that it stands for")]
    rank: Annotated[int, Meta(description="place of that stage in the journey, from 1")]
    opened_at: Annotated[Time, Meta(description="first event of the object")]
    deadline_at: Annotated[
        Time | None,
        Meta(description="until then nothing came; null for browsing, which ends with its session"),
    ]
    abandoned_at: Annotated[Time, Meta(description="when it counted as abandoned")]
    cart_id: Annotated[str, Meta(description="the shop's id of the cart, empty when not known")]
    products: Annotated[list[str], Meta(description="product ids in it, at most 16")]
    value_at_risk: Annotated[Money, Meta(description="its value, in currency")]
    currency: Annotated[str, Meta(description="ISO code, empty when not known")]
    device: Annotated[str, Meta(description="kind of device, empty when not known, as all that follow")]
    channel: Annotated[str, Meta(description="marketing channel")]
    source: Annotated[str, Meta(description="campaign source")]
    medium: Annotated[str, Meta(description="campaign medium")]
    campaign: Annotated[str, Meta(description="campaign name")]
    country: Annotated[str, Meta(description="country code")]
    version: Annotated[int, Meta(description="changes that records caused to the object")]


class Retraction(Message, frozen=True, tag="retraction"):
    """What was told as abandoned no longer is, or never was. Takes back the abandonment of its chain."""

    SCHEMA: ClassVar[str] = "pathline.retraction/1"

    site: Annotated[str, Meta(description="shop or app")]
    journey: Annotated[str, Meta(description="name of the journey definition")]
    journey_version: Annotated[int, Meta(description="its version")]
    chain_id: Annotated[Id, Meta(description="that of the abandonment")]
    reason: Annotated[
        Literal["recovered", "void"],
        Meta(
            description="recovered: an order came after all; void: an order shows that it never was abandoned"
        ),
    ]
    resolved_at: Annotated[Time, Meta(description="when that order was placed")]
    order_id: Annotated[str, Meta(description="that order")]
    recovered_value: Annotated[Money, Meta(description="its value; 0 where another chain has it, or void")]
    recovered_currency: Annotated[str, Meta(description="ISO code of recovered_value, else empty")]
    version: Annotated[
        int, Meta(description="of several for a chain the highest holds: void beats recovered")
    ]


class Reject(Message, frozen=True, tag="reject"):
    """A record that cannot be an event, with its bytes."""

    SCHEMA: ClassVar[str] = "pathline.reject/1"

    reason: Annotated[str, Meta(description="why it cannot be an event (closed list)")]
    source: Annotated[str, Meta(description="topic or file")]
    partition: Annotated[int, Meta(description="partition of the source")]
    position: Annotated[int, Meta(description="Kafka offset, or line number from 1")]
    event_at: Annotated[Time | None, Meta(description="when it happened, where that could be read")]
    received_at: Annotated[Time | None, Meta(description="when a server received it, where known")]
    payload: Annotated[str, Meta(description="the record, at most its first 64,000 bytes")]
    payload_encoding: Annotated[
        Literal["utf-8", "base64"],
        Meta(description="how payload is written: as it was, or where that is no text"),
    ]
    headers: Annotated[str, Meta(description="its headers: a JSON list of [name, value], empty without")]


TOPICS: Final[dict[str, tuple[type[Message], ...]]] = {
    "transitions": (Transition,),
    "abandonments": (Abandonment, Retraction),
    "rejects": (Reject,),
}
"""What is told on which topic, before whose name stands a prefix (`pathline.`)."""
