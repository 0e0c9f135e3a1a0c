"""Hypothesis strategies: events, batches of them, and predicates that fit their fields."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable, Sequence
from typing import Any

import pyarrow as pa
from hypothesis import strategies as st

from schemas.conditions import OPS_OF, PROPERTY
from schemas.events import FIELDS, arrow_type
from schemas.predicates import OPS, All, Any_, Compare, Not, Predicate, read_number

Event = dict[str, Any]

PROPERTIES = ("properties.a", "properties.b.c d")
COLUMNS: dict[str, str] = {name: field.kind for name, field in FIELDS.items()} | dict.fromkeys(
    PROPERTIES, PROPERTY
)

# Few words, so that they meet; among them what one side might take for a number, a flag, or missing.
NUMBERS_AS_TEXT = ("0", "-0", "0.0", "1", "1.0", "01", "10", "1e1", "1E+1", "0.1", "-2.5", "9" * 18)
NO_NUMBERS = (
    "+1",
    "1.",
    ".5",
    " 1",
    "1\n",
    "1_0",
    "1e",
    "0x1",
    "nan",
    "inf",
    "-",
    "1e999",
    "9" * 40,
    "\u0661",
)
WORDS = ("page_view", "page", "e", "true", "false", "True", "null", "é", "a\nb", "a\0b", "\n", ".*")
# What SQL, or the text of a parameter on its way to it, might take for something else.
ESCAPES = (
    "\\",
    "a\\",
    "\\N",
    "\\n",
    "'",
    "it's",
    "''",
    '"',
    "`",
    "%",
    "p_ge%",
    "{p1:String}",
    "\t",
    "\r",
    "NULL",
    "--",
)

texts = st.sampled_from((*WORDS, *ESCAPES, *NUMBERS_AS_TEXT, *NO_NUMBERS)) | st.text(
    st.characters(exclude_categories=["Cs"]), min_size=1, max_size=4
)
missing_texts = st.sampled_from(("", None))
whole_numbers = st.integers(-3, 3) | st.sampled_from((2**63 - 1, -(2**63) + 1, 2**53 + 1, 199_900))
doubles = st.sampled_from((0.0, 1.0, 10.0, 0.1, -2.5, 1e17)) | st.floats(-3, 3).map(lambda x: round(x, 1))
times = st.datetimes(dt.datetime(2024, 1, 1), dt.datetime(2025, 1, 1), timezones=st.just(dt.UTC)).map(
    lambda at: at.replace(microsecond=0)
)

VALUES: dict[str, st.SearchStrategy[Any]] = {
    "word": texts | missing_texts,
    "text": texts | missing_texts,
    "json": texts | missing_texts,
    PROPERTY: texts | missing_texts,
    "time": times | st.none(),
    "money": whole_numbers | st.none(),
    "number": whole_numbers | st.none(),
    "flag": st.sampled_from((True, False, None)),
    "list": st.lists(texts, max_size=3) | st.none(),
}

events: st.SearchStrategy[Event] = st.fixed_dictionaries(
    {name: VALUES[kind] for name, kind in COLUMNS.items()}
)


def literals(kind: str, op: str) -> st.SearchStrategy[Any]:
    if op == "exists" or kind == "flag":
        return st.booleans()
    if kind in ("money", "number"):
        return whole_numbers
    if kind == PROPERTY and op in ("gt", "gte", "lt", "lte"):
        return doubles
    if kind == PROPERTY and op in ("eq", "ne", "in"):
        return texts | doubles | st.booleans()
    return texts


@st.composite
def comparisons(
    draw: st.DrawFn,
    kinds: Sequence[str] = tuple(OPS_OF),
    rows: Sequence[Event] = (),
    ops: Sequence[str] = OPS,
) -> Compare:
    """A comparison that fits its field; with `rows`, often with a value that one of them has."""
    kind = draw(st.sampled_from(kinds))
    name = draw(st.sampled_from([name for name, its_kind in COLUMNS.items() if its_kind == kind]))
    op = draw(st.sampled_from([op for op in OPS_OF[kind] if op in ops]))
    found = [row[name] for row in rows if row[name] not in (None, "", [])]
    near = _near(kind, op, found)
    literal = literals(kind, op)
    if near:
        literal |= st.sampled_from(near)
    if op == "in":
        return Compare(name, op, tuple(draw(st.lists(literal, min_size=1, max_size=3))))
    return Compare(name, op, draw(literal if op != "exists" else st.booleans()))


def _near(kind: str, op: str, found: Sequence[Any]) -> list[Any]:
    """Literals that meet, or nearly meet, values that are there."""
    if op == "exists":
        return []
    if kind == "list":
        return [piece for items in found for item in items for piece in (item, item[:1])]
    if op in ("prefix", "suffix", "contains"):
        return [piece for text in found for piece in (text, text.swapcase(), text[:2], text[-2:])]
    if kind == PROPERTY:
        numbers = [number for text in found if (number := read_number(text)) is not None]
        flags = [text == "true" for text in found if text in ("true", "false")]
        return numbers if op in ("gt", "gte", "lt", "lte") else [*numbers, *flags, *found]
    return [*found, *(text.swapcase() for text in found if isinstance(text, str))]


event_names = st.builds(
    lambda names: Compare("event", "in", tuple(names)), st.lists(texts, min_size=1, max_size=3)
)


def trees(leaf: st.SearchStrategy[Compare]) -> st.SearchStrategy[Predicate]:
    return st.recursive(
        leaf,
        lambda part: (
            st.builds(Not, part)
            | st.builds(All, st.lists(part, max_size=3).map(tuple))
            | st.builds(Any_, st.lists(part, max_size=3).map(tuple))
        ),
        max_leaves=6,
    )


predicates: st.SearchStrategy[Predicate] = trees(comparisons() | event_names)


def column(name: str, values: Sequence[Any]) -> pa.Array:
    """The values of a field in its Arrow type."""
    type_ = arrow_type(name)
    if not pa.types.is_dictionary(type_):
        return pa.array(values, type_)
    # Words that no row has, and a null among the words, which Arrow allows beside null codes.
    words = ["unused", None, *dict.fromkeys(value for value in values if value is not None)]
    codes = [words.index(value) if value is not None else (1, None)[k % 2] for k, value in enumerate(values)]
    return pa.DictionaryArray.from_arrays(pa.array(codes, pa.int32()), pa.array(words, pa.string()))


def batch_of(rows: Sequence[Event], names: Iterable[str] = tuple(COLUMNS)) -> pa.RecordBatch:
    return pa.RecordBatch.from_pydict({name: column(name, [row.get(name) for row in rows]) for name in names})
