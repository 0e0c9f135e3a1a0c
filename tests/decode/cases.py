"""Random mappings and random lines for them, most of them nearly right: drawn from a `random.Random`.

Hypothesis has one that it can shrink, the fuzzer a seeded one.
"""

from __future__ import annotations

import json
import random
from typing import Any

from schemas.events import FIELDS
from schemas.field_maps import FieldMap, Path, TimeFormat
from schemas.mappings import Mapping, load_mapping

KEYS = ("a", "b", "id", "ts", "value", "user", "properties", "é", "a.b", "", "k" * 31, "long_" * 9)
WORDS = (
    "",
    "view",
    "buy",
    "EUR",
    "eur",
    "x" * 40,
    "naïve",
    "日本",
    "😀",
    "a/b",
    "it's",
    "0",
    "1",
    "true",
    "-0",
    "12",
)
TIMES = (
    "2026-03-13T10:21:14.165Z", "2026-03-13 10:21:14", "2026-03-13T10:21:14+05:30", "2026-03-29T02:30:00",
    "2025-10-26 02:30:00.5", "2026-03-13T10:21:14.123456789-23:59", "2026-02-29T00:00:00Z", "2026-03-13",
    "2026-03-13T24:00:00Z", "0001-01-01T00:00:00+23:59", "9999-12-31T23:59:59.999Z", "20260313T102114Z",
    "2026-03-13T10:21:14.Z", "2026-03-13T10:21:60Z", "13/Mar/2026:10:21:14 +0100", "2026-03-13T10:21:14z",
    "2026-W11-5", "2026-03-13T10:21", " 2026-03-13T10:21:14Z", "1999-12-31T23:59:59Z", "2000-01-01T00:00:00Z",
)  # fmt: skip
NUMBERS = (
    "0", "-0", "-0.0", "1", "-1", "12.5", "464.30", "0.00005", "0.00015", "99999999999.9999", "100000000000",
    "100000000000.0001", "1e3", "1E-2", "1e400", "-1e-400", "123456789012345678", "1234567890123456789",
    "18446744073709551616", "1773397274", "1773397274165", "1773397274165000", "1773397274.1659", "1e18",
    "1e30", "999999999999", "1000000000000", "01", "1.", ".5", "+1", "-", "1.5.5", "1e", "0x1",
    "4611686018427387904",
)  # fmt: skip
TEXT_NUMBERS = (
    "NaN",
    "Infinity",
    "-inf",
    " 12.5 ",
    "12,50",
    "1_000",
    "$5",
    "1e5",
    "\u0663",
    "+7",
    "--1",
    "1 2",
)
STRPTIME = "%d/%b/%Y:%H:%M:%S %z"
ZONES = ("UTC", "Europe/Berlin", "America/St_Johns", "Asia/Kathmandu")


def mapping(rng: random.Random) -> Mapping:
    """One that is shipped, or a random one."""
    if rng.random() < 0.4:
        return load_mapping(rng.choice(("canonical", "ecom", "w1")))
    names = ["event_at", "visitor_id", "event", *rng.sample([n for n in FIELDS if n != "properties"], 8)]
    return Mapping(
        name="random",
        fields={name: _field(rng, name) for name in names},
        event_at=_form(rng),
        received_at=_form(rng),
        passive_events=frozenset(rng.sample(WORDS[1:], rng.choice((0, 2)))),
        filters=(),
        properties=rng.choice(("rest", ("properties",), ("a", "b"), ("",))),
    )


def _field(rng: random.Random, name: str) -> FieldMap:
    kind = FIELDS[name].kind
    own = name in ("event_id", "visitor_id", "event_at", "received_at")
    constant = {"money": 25_000, "number": 7, "flag": True, "list": ("p", "q")}.get(kind, "fixed")
    if not own and name != "event" and rng.random() < 0.15:
        return FieldMap(name, const=constant)
    paths = tuple(dict.fromkeys(_path(rng, name) for _ in range(rng.choice((1, 1, 1, 2, 3)))))
    values: dict[str, str | bool] | None = None
    if kind in ("word", "text") and rng.random() < 0.3:
        values = {rng.choice((*WORDS, *NUMBERS, "false")): rng.choice(WORDS[1:]) for _ in range(4)}
    if kind == "flag" and rng.random() < 0.5:
        values = {"view": True, "1": False, "12.5": True}
    default = constant if not own and rng.random() < 0.3 else None
    return FieldMap(name, paths, None, values, default)


def _path(rng: random.Random, name: str) -> Path:
    if rng.random() < 0.85:
        return rng.choice(((name,), ("user", name), ("a", "b", name), (f"{name}2",)))
    return tuple(rng.choice(KEYS) for _ in range(rng.choice((1, 1, 2, 3))))


def _form(rng: random.Random) -> TimeFormat:
    kind = rng.choice(("iso",) * 6 + ("epoch_s", "epoch_ms", "epoch_us") * 2 + ("strptime",))
    zone = "UTC" if kind.startswith("epoch") else rng.choice(ZONES)
    return TimeFormat(kind, STRPTIME if kind == "strptime" else None, zone)  # type: ignore[arg-type]


def needed(rng: random.Random, rules: Mapping) -> tuple[str, ...]:
    """Fields to ask for beside those that are always there."""
    names = [name for name in FIELDS if name not in ("properties", "products")]
    names = rng.sample(names, rng.choice((0, 3, len(names))))
    names += rng.choice(([],) * 4 + (["products"], ["properties"], ["products", "properties"]))
    return (*names, *(f"properties.{rng.choice(KEYS)}" for _ in range(rng.choice((0, 0, 2)))))


class Raw(str):
    """JSON text that stands for itself."""

    __slots__ = ()


def line(rng: random.Random, rules: Mapping) -> bytes:
    """A record for a mapping as one line: mostly an event, often with something odd, sometimes broken."""
    if rng.random() < 0.02:
        return rng.choice(
            (b"", b"  \t", b"\r", b"null", b"[]", b'"x"', b"1", b"{}", b"{", b"}", b" {} ", b"\xef\xbb\xbf{}")
        )
    if rng.random() < 0.01:
        return rng.randbytes(rng.randrange(60)).replace(b"\n", b"")
    oddness = rng.choice((0.0, 0.0, 0.0, 0.0, 0.05, 0.3))
    space, escape = rng.choice((0.0, 0.0, 0.1)), rng.choice((0.0, 0.0, 0.0, 0.2))
    text = _object(rng, _record(rng, rules, oddness), space, escape)
    data = text.encode("utf-8", "surrogatepass") + rng.choice((b"", b"", b"", b"\r", b"  "))
    return _mutated(rng, data) if rng.random() < 0.1 else data


def _record(rng: random.Random, rules: Mapping, oddness: float) -> list[tuple[str, Any]]:
    record: dict[str, Any] = {}
    for name, rule in rules.fields.items():
        for path in rule.paths if rng.random() < 0.9 or name in ("visitor_id", "event_at") else ():
            form = rules.event_at if name == "event_at" else rules.received_at
            _put(record, path, _value(rng, FIELDS[name].kind, form, oddness))
    flat = rng.choice((0, 3))  # nothing is nested at the depth of 3
    while rules.properties != "rest" and rng.random() < 0.5:
        _put(record, (*rules.properties, rng.choice(KEYS)), _harmless(rng, flat))
    for _ in range(rng.choice((0, 0, 1, 5))):
        path = tuple(rng.choice(KEYS) for _ in range(rng.choice((1, 1, 2))))
        _put(record, path, _anything(rng, 0) if rng.random() < oddness else _harmless(rng, 0))
    items = list(record.items())
    if rng.random() < oddness:
        items += [(rng.choice(items)[0] if items else "a", _anything(rng, 0)) for _ in range(2)]
    if rng.random() < 0.2:
        rng.shuffle(items)
    return items


def _put(record: dict[str, Any], path: Path, value: Any) -> None:
    for key in path[:-1]:
        below = record.setdefault(key, {})
        if not isinstance(below, dict):
            return
        record = below
    record.setdefault(path[-1], value)


def _value(rng: random.Random, kind: str, form: TimeFormat, oddness: float) -> Any:
    if rng.random() < oddness:
        return _anything(rng, 0)
    odd = rng.random() < 0.05
    if rng.random() < 0.03:
        return rng.choice((None, ""))
    if kind == "time":
        at = rng.choice(
            (1_773_397_274_165, 1_773_397_274_999, 1_773_397_600_000, rng.randrange(10**12, 2 * 10**12))
        )
        epoch = {"epoch_s": at // 1000, "epoch_ms": at, "epoch_us": at * 1000}.get(form.kind)
        if epoch:
            return rng.choice((epoch, str(epoch)))
        return rng.choice(TIMES[14:15] if form.kind == "strptime" else TIMES[:5] if not odd else TIMES)
    if odd and kind in ("money", "number", "flag", "time"):
        number = rng.choice((*NUMBERS[:-11], *TEXT_NUMBERS))
        return rng.choice((number, "True", number if number in TEXT_NUMBERS else Raw(number)))
    if kind == "money":
        return rng.choice((Raw("12.5"), Raw("464.30"), 7, "19.99", "0"))
    if kind == "number":
        return rng.choice((1, 2, "3"))
    if kind == "flag":
        return rng.choice((True, False, "true", "false", 0, 1, "1"))
    if kind == "list":
        plain = rng.sample(WORDS[1:], rng.randrange(4))
        return rng.choice(
            ("sku", 5, plain, *([[{"id": "x"}, {"sku": 5}, {}], [], [None, ""], ["a", 5]] * odd))
        )
    return rng.choice((*WORDS[1:], 5, 17, f"v{rng.randrange(50)}"))


def _harmless(rng: random.Random, depth: int) -> Any:
    """A value that no field is read from, as records have them."""
    pick = rng.randrange(6 if depth < 3 else 4)
    if pick == 4:
        return [_harmless(rng, depth + 1) for _ in range(rng.randrange(4))]
    if pick == 5:
        return {rng.choice(KEYS): _harmless(rng, depth + 1) for _ in range(rng.randrange(4))}
    return rng.choice(
        (rng.choice(WORDS), 5, Raw("1.50"), Raw("-0"), None, True, False, "2026-03-13T10:21:14Z")
    )


def _anything(rng: random.Random, depth: int) -> Any:
    pick = rng.randrange(12)
    if pick < 2:
        return rng.choice(WORDS)
    if pick == 2:
        return rng.choice(TIMES)
    if pick < 5:
        return Raw(rng.choice(NUMBERS))
    if pick == 5:
        return rng.choice((*NUMBERS, *TEXT_NUMBERS))
    if pick == 6:
        return rng.choice((None, True, False))
    if pick == 7:
        return Raw(
            rng.choice(
                (
                    '"\\ud83d\\ude00"',
                    '"\\ud800"',
                    '"\\udc00x"',
                    '"\\u0000"',
                    '"\\x"',
                    '"\\u12g4"',
                    "nul",
                    '"\\',
                )
            )
        )
    if pick == 8:
        deep = rng.choice((28, 29, 30, 31, 199, 201, 250))
        return Raw("[" * deep + "]" * rng.choice((deep, deep, deep - 1)))
    if pick == 9:
        return "".join(
            chr(rng.choice((*range(32, 130), 0xE9, 0x20AC, 0x10348, 0x7F))) for _ in range(rng.randrange(70))
        )
    if depth > 3:
        return 1
    if pick == 10:
        return [_anything(rng, depth + 1) for _ in range(rng.randrange(4))]
    return {rng.choice(KEYS): _anything(rng, depth + 1) for _ in range(rng.randrange(4))}


def _object(rng: random.Random, items: list[tuple[str, Any]], space: float, escape: float) -> str:
    """JSON text, with white space and escapes where nobody needs them."""

    def gap() -> str:
        return rng.choice((" ", "\t", "\r", "  ")) if rng.random() < space else ""

    def text(value: str) -> str:
        if rng.random() < escape * 2:
            return json.dumps(value).replace("/", "\\/")
        return '"' + "".join(character(c) for c in value) + '"'

    def name(key: str) -> str:
        return text(key) if rng.random() < 0.01 else json.dumps(key, ensure_ascii=False)

    def character(c: str) -> str:
        if c in '"\\' or c < " ":
            return json.dumps(c)[1:-1]
        return f"\\u{ord(c):04x}" if rng.random() < escape and ord(c) < 0x10000 else c

    def write(value: Any) -> str:
        if isinstance(value, Raw):
            return str(value)
        if isinstance(value, str):
            return text(value)
        if isinstance(value, dict):
            return members(list(value.items()))
        if isinstance(value, list):
            return "[" + ",".join(gap() + write(item) + gap() for item in value) + "]"
        return json.dumps(value)

    def members(pairs: list[tuple[str, Any]]) -> str:
        inner = (f"{gap()}{name(key)}{gap()}:{gap()}{write(value)}{gap()}" for key, value in pairs)
        return "{" + ",".join(inner) + "}"

    return gap() + members(items) + gap()


def _mutated(rng: random.Random, data: bytes) -> bytes:
    """A few bytes changed, lost, doubled or cut off."""
    for _ in range(rng.choice((1, 1, 2, 5))):
        at = rng.randrange(len(data) + 1)
        pick = rng.randrange(8)
        if pick == 0:
            data = data[:at]
        elif pick == 1:
            data = data[:at] + data[at + 1 :]
        elif pick == 2:
            data = (
                data[:at] + bytes([rng.choice(b'\0\x01"\\{}[]:, \t\r\x7f\x80\xc3\xed\xff0-e.tn')]) + data[at:]
            )
        elif pick == 3:
            data = data[:at] + bytes([rng.randrange(256)]) + data[at + 1 :]
        elif pick == 4:
            data = data[:at] + data[max(at - 5, 0) :]
        elif pick > 5:  # what holds the text together: one more of it where it stands
            places = [k for k, c in enumerate(data) if c in b'{}[]:,"'] or [0]
            at = rng.choice(places)
            data = data[:at] + rng.choice((b",", b",", b"}", b"]", b'"', b":", b"{}")) + data[at:]
        else:
            data = (
                data[:at]
                + rng.choice((b"\xed\xa0\x80", b"\xc0\x80", b"\xf4\x90\x80\x80", b"\xe2\x82"))
                + data[at:]
            )
    return data
