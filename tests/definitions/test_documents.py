"""Files that are hardly YAML: a message with file and line, never a traceback."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.documents import BadDefinition, Document, Problem, parse_duration_ms
from schemas.journeys import load_journeys
from schemas.nodes import DEPTH_MAX, FILE_BYTES_MAX, NODES_MAX, Node, parse

REFUSED: list[tuple[bytes, int, str]] = [
    (b"", 1, "the file is empty"),
    (b"# nothing\n", 1, "the file is empty"),
    (b"a: 1\n b: 2\n", 2, "not YAML: mapping values are not allowed here"),
    (b"a: 1\nb: 'open\n", 3, "not YAML: found unexpected end of stream"),
    (b"a: 1\n\tb: 2\n", 2, "not YAML: found character '\\t' that cannot start any token"),
    (b"a: 1\n---\nb: 2\n", 2, "not YAML: but found another document"),
    (b"a: 1\nb: *nowhere\n", 2, "not YAML: found undefined alias 'nowhere'"),
    (b"a: \x00\n", 1, "not YAML: unacceptable character #x0000: special characters are not allowed"),
    (b"a: 1\nb: \xff\n", 2, "not UTF-8"),
    (b"a: 1\nb: 2\na: 3\n", 3, "the key 'a' is here twice"),
    (b"a: 1\n? [b]\n: 2\n", 2, "a key must be text"),
    (b"a: 1\nb: !thing 2\n", 2, "the tag !thing means nothing here"),
    (b"a: 1\nb: .inf\n", 2, "'.inf' is not a number"),
    (b"a: 1\nb: " + b"9" * 5_000, 2, "'9999"),
    (b"a: 1\nb: &x [*x]\n", 2, f"nested more than {DEPTH_MAX} levels deep"),
    (b"a: 1\nb: &x [*x, *x]\n", 2, f"nested more than {DEPTH_MAX} levels deep"),
    (b"[" * 2_000, 1, f"nested more than {DEPTH_MAX} levels deep"),
    (b"a: &x " + b"[" + b"1," * 999 + b"1]\nb: [" + b"*x," * 50 + b"]", 1, f"more than {NODES_MAX:,} values"),
    (b" " * (FILE_BYTES_MAX + 1), 1, f"the file is larger than {FILE_BYTES_MAX:,} bytes"),
]


@pytest.mark.parametrize(("raw", "line", "message"), REFUSED)
def test_refused(raw: bytes, line: int, message: str) -> None:
    document = Document("a.yaml")
    parse(raw, document.problem)
    assert [(p.file, p.line) for p in document.problems] == [("a.yaml", line)]
    assert document.problems[0].message.startswith(message)


@given(st.binary(max_size=60) | st.text("[]{}:-,&*!?#|> \n'\"ab1.\t", max_size=40).map(str.encode))
def test_no_bytes_end_in_a_traceback(raw: bytes) -> None:
    document = Document("a.yaml")
    assert parse(raw, document.problem) is not None or document.problems


def test_scalars_and_lines() -> None:
    text = "\ufeffn: 1\nd: 1.50\nl:\n  - 2024-01-01\n  - 0x1F\n  - ~\n  - on\nb: false\n404: x\n"
    root = parse(text.replace("\n", "\r\n").encode(), Document("a.yaml").problem)
    assert root is not None
    assert isinstance(root.value, dict)
    assert {key: node.line for key, node in root.value.items()} == {"n": 1, "d": 2, "l": 3, "b": 8, "404": 9}
    assert root.value["l"].value == (Node(4, "2024-01-01"), Node(5, 31), Node(6, None), Node(7, "on"))
    assert str(root.value["d"].value) == "1.50"
    assert root.value["b"].value is False


@pytest.mark.parametrize(
    ("text", "duration_ms"),
    [
        ("500ms", 500),
        ("10s", 10_000),
        ("30m", 1_800_000),
        ("24h", 86_400_000),
        ("7d", 604_800_000),
        *[(bad, None) for bad in ("", "0s", "10", "s", "1.5h", "-1s", "10 s", "10S", "1h30m", "10s\n")],
    ],
)
def test_durations(text: str, duration_ms: int | None) -> None:
    assert parse_duration_ms(text) == duration_ms


def test_how_problems_are_said() -> None:
    error = BadDefinition([Problem("a.yaml", 3, "this", "do that"), Problem("b.yaml", 1, "other")])
    assert str(error) == "a.yaml:3: this\n  hint: do that\nb.yaml:1: other"


def test_a_file_that_cannot_be_read(tmp_path: Path) -> None:
    names = [str(tmp_path / "none.yaml"), str(tmp_path), "a\0b"]
    with pytest.raises(BadDefinition) as caught:
        load_journeys(names)
    assert [str(problem) for problem in caught.value.problems] == [
        f"{names[0]}:1: cannot read this journey: No such file or directory",
        f"{names[1]}:1: cannot read this journey: Is a directory",
        f"{names[2]}:1: cannot read this journey: embedded null byte",
    ]
