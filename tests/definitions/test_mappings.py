"""Mappings: what is shipped, what is read, and what is refused where."""

from __future__ import annotations

from pathlib import Path

import pytest

from schemas.documents import BadDefinition
from schemas.events import FIELDS
from schemas.mappings import FieldMap, Filter, TimeFormat, load_mapping, shipped_mappings
from schemas.predicates import Compare

GOOD = """\
mapping: theirs
fields:
  event_id: {paths: [messageId, [context, "page.id"]]}
  event_at: {path: timestamp, format: epoch_us}
  received_at: receivedAt
  event: {path: name, default: page_view}
  visitor_id: {paths: [anonymousId, user.id]}
  site: {const: shop}
  source: {path: context.campaign.source, values: {g: google, fb: facebook}}
  products: {path: items, default: none}
  quantity: {const: 1}
  value: {path: revenue, default: 9.99}
  passive: {path: auto, values: {"1": true, "0": false}}
event_names:
  Product Viewed: view_item
time: {format: "%d/%m/%Y %H:%M", zone: Europe/Berlin}
passive_events: [push_sent, server_job]
filters:
  - name: test_traffic
    when: {properties.test: true}
properties: data.extra
"""


def refused(text: str, folder: Path) -> list[str]:
    """The problems of a definition as `line: message (hint)`."""
    path = folder / "theirs.yaml"
    path.write_text(text)
    with pytest.raises(BadDefinition) as caught:
        load_mapping(str(path))
    assert {problem.file for problem in caught.value.problems} == {str(path)}
    return [f"{p.line}: {p.message} ({p.hint})" for p in caught.value.problems]


def test_a_definition(tmp_path: Path) -> None:
    (tmp_path / "theirs.yaml").write_text(GOOD)
    mapping = load_mapping(str(tmp_path / "theirs.yaml"))
    assert mapping.name == "theirs"
    assert list(mapping.fields.values()) == [
        FieldMap("event_id", (("messageId",), ("context", "page.id"))),
        FieldMap("event_at", (("timestamp",),)),
        FieldMap("received_at", (("receivedAt",),)),
        FieldMap("event", (("name",),), values={"Product Viewed": "view_item"}, default="page_view"),
        FieldMap("visitor_id", (("anonymousId",), ("user", "id"))),
        FieldMap("site", const="shop"),
        FieldMap("source", (("context", "campaign", "source"),), values={"g": "google", "fb": "facebook"}),
        FieldMap("products", (("items",),), default=("none",)),
        FieldMap("quantity", const=1),
        FieldMap("value", (("revenue",),), default=99_900),
        FieldMap("passive", (("auto",),), values={"1": True, "0": False}),
    ]
    assert all(name == field.field for name, field in mapping.fields.items())
    assert mapping.event_at == TimeFormat("epoch_us", None, "UTC")
    assert mapping.received_at == TimeFormat("strptime", "%d/%m/%Y %H:%M", "Europe/Berlin")
    assert mapping.passive_events == {"push_sent", "server_job"}
    assert mapping.filters == (Filter("test_traffic", Compare("properties.test", "eq", True)),)
    assert mapping.properties == ("data", "extra")


LEAST = """\
mapping: least
fields:
  event_at: at
  event: name
  visitor_id: id
"""


def test_what_is_left_out(tmp_path: Path) -> None:
    (tmp_path / "least.yaml").write_text(LEAST)
    mapping = load_mapping(str(tmp_path / "least.yaml"))
    assert mapping.event_at == mapping.received_at == TimeFormat("iso", None, "UTC")
    assert (mapping.passive_events, mapping.filters, mapping.properties) == (frozenset(), (), ("properties",))


@pytest.mark.parametrize(
    ("written", "path"), [("rest", "rest"), ("[rest]", ("rest",)), ('[a, "b.c"]', ("a", "b.c"))]
)
def test_properties(written: str, path: object, tmp_path: Path) -> None:
    (tmp_path / "least.yaml").write_text(f"{LEAST}properties: {written}\n")
    assert load_mapping(str(tmp_path / "least.yaml")).properties == path


REPLACED: list[tuple[str, str, str]] = [
    ("mapping: theirs", "mapping: Their's", "1: the mapping's name 'Their's' is not a name"),
    ("mapping: theirs\n", "", "1: a mapping lacks 'mapping' ()"),
    ("filters:", "filter:", "18: a mapping has no key 'filter' (did you mean 'filters'?)"),
    ("event_at: {path: timestamp, format: epoch_us}", "url: x", "2: fields lacks 'event_at' ()"),
    ("visitor_id: {paths: [anonymousId, user.id]}", "user_id: u", "2: fields lacks 'visitor_id' ()"),
    ("event: {path: name, default: page_view}", "url: name", "2: fields lacks 'event' ()"),
    ("site: {", "sight: {", "8: fields has no key 'sight' (did you mean 'site'?)"),
    ("site: {const: shop}", "properties: x", "8: 'properties' is no field of its own (write properties: at"),
    ("received_at: receivedAt", "received_at:", "5: received_at must be a mapping, not empty ()"),
    (
        "received_at: receivedAt",
        "received_at: a..b",
        "5: the path 'a..b' has an empty key (keys with dots in",
    ),
    ("received_at: receivedAt", "received_at: [a, b]", "5: received_at: a list can mean two things (path:"),
    ("received_at: receivedAt", "received_at: 5", "5: received_at must be a mapping, not a number ()"),
    ("received_at: receivedAt", "received_at: {path: []}", "5: the path of received_at is empty ()"),
    (
        "received_at: receivedAt",
        "received_at: {path: [1]}",
        "5: a key in the path of received_at must be text",
    ),
    (
        "received_at: receivedAt",
        "received_at: {path: a, default: x}",
        "5: received_at cannot have a default (it has",
    ),
    ("{const: shop}", "{}", "8: site does not say where it comes from (exactly one of path, paths, const)"),
    (
        "{const: shop}",
        "{const: shop, path: s}",
        "8: site has path and const (exactly one of path, paths, const)",
    ),
    (
        "{const: shop}",
        "{const: shop, default: x}",
        "8: site: 'default' has no meaning beside const (leave it out)",
    ),
    ("{const: shop}", "{const: 5}", "8: the const of site must be text, not a number (put it in quotes)"),
    ("{const: shop}", "{const: s, pth: s}", "8: site has no key 'pth' (did you mean 'path'?)"),
    ("{const: shop}", "{path: s, format: iso}", "8: site has no key 'format' (known: path, paths, const,"),
    (
        "{g: google, fb",
        "{g: 5, fb",
        "9: what source 'g' becomes must be text, not a number (put it in quotes)",
    ),
    (
        "values: {g: google, fb: facebook}",
        "values: x",
        "9: the values of source must be a mapping, not text ()",
    ),
    (
        "default: none",
        "default: 5",
        "10: the default of products must be text, not a number (put it in quotes)",
    ),
    ("{const: 1}", "{const: one}", "11: the const of quantity must be a whole number, not text ()"),
    (
        "{const: 1}",
        "{path: n, values: {a: 1}}",
        "11: quantity is of kind number: its values cannot be mapped ()",
    ),
    ("9.99", "9.99999", "12: the default of value: 9.99999 has more than 4 decimal places ()"),
    ('"0": false', '"0": no', "13: what passive '0' becomes must be true or false, not text ()"),
    ("default: page_view", "values: {a: b}", "14: event_names beside values of the field event (keep one of"),
    ("{path: name, default: page_view}", "{const: order}", "14: event_names beside const of the field event"),
    (
        "Product Viewed: view_item",
        "Product Viewed: 5",
        "15: what event 'Product Viewed' becomes must be text",
    ),
    ("format: epoch_us", "format: epoch", "4: 'epoch' is no format of a time (did you mean 'epoch_"),
    ('"%d/%m/%Y %H:%M"', "ISO8601", "16: 'ISO8601' is no format of a time (known: iso, epoch_s, epoch_ms,"),
    ('"%d/%m/%Y %H:%M"', '"%Q"', "16: '%Q' cannot be used: "),
    ('"%d/%m/%Y %H:%M"', '"%d %d"', "16: '%d %d' cannot be used: "),
    ('"%d/%m/%Y %H:%M"', '"%H:%M"', "16: '%H:%M' leaves the day open (it needs year, month and day)"),
    (
        "Europe/Berlin",
        "Europe/Berlim",
        "16: there is no time zone 'Europe/Berlim' (did you mean 'Europe/Berlin'?)",
    ),
    ("Europe/Berlin", "../etc", "16: there is no time zone '../etc' (an IANA name such as Europe/Berlin)"),
    ("Europe/Berlin", "Europe", "16: there is no time zone 'Europe' ("),
    ('"%d/%m/%Y %H:%M"', "epoch_s", "16: epoch_s counts from 1970 in UTC: a zone changes nothing ()"),
    ("[push_sent, server_job]", "push_sent", "17: passive_events must be a list, not text ()"),
    (
        "[push_sent, server_job]",
        "[push_sent, 5]",
        "17: the name of a passive event must be text, not a number",
    ),
    ("name: test_traffic", "name: Test traffic", "19: the name of a filter 'Test traffic' is not a name"),
    ("properties.test", "is_test", "20: 'when' of filter test_traffic asks for 'is_test', which is no field"),
    ("data.extra", "data.", "21: the path 'data.' has an empty key"),
]


@pytest.mark.parametrize(("old", "new", "problem"), REPLACED)
def test_refused(old: str, new: str, problem: str, tmp_path: Path) -> None:
    assert old in GOOD
    problems = refused(GOOD.replace(old, new, 1), tmp_path)
    assert len(problems) == 1
    assert problems[0].startswith(problem)


def test_filters_have_limits(tmp_path: Path) -> None:
    one = "  - {name: bots, when: {event: x}}\n"
    assert refused(LEAST + "filters:\n" + one * 2, tmp_path) == [
        "8: the filter 'bots' is here twice (names must differ)"
    ]
    many = "".join(one.replace("bots", f"bots_{k}") for k in range(33))
    assert refused(LEAST + "filters:\n" + many, tmp_path) == [
        "6: 33 filters, and at most 32 are possible (join some with any)"
    ]


def test_everything_at_once(tmp_path: Path) -> None:
    text = "mapping: 5\nfields:\n  evnt: a\n  event_at: {path: x, format: y}\ntime: {zone: Mars}\nfilters: []"
    problems = refused(text, tmp_path)
    assert [problem.split(":")[0] for problem in problems] == ["1", "2", "2", "3", "4", "5", "6"]


@pytest.mark.parametrize("name", shipped_mappings())
def test_shipped_mappings_load(name: str) -> None:
    assert load_mapping(name).name == name


def test_canonical_has_every_field_from_its_own_name() -> None:
    fields = load_mapping("canonical").fields
    assert list(fields) == [name for name in FIELDS if name != "properties"]
    assert all(field == FieldMap(name, ((name,),)) for name, field in fields.items())


def test_a_name_that_is_not_shipped() -> None:
    with pytest.raises(BadDefinition, match="segmentt:1: no mapping of this name comes with Pathline"):
        load_mapping("segmentt")
