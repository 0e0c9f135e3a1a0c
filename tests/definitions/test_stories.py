"""Story files: what they say is read as it is meant, and whatever is wrong with them is told at once."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

import schemas
from schemas.documents import BadDefinition, Document
from schemas.stories import FILE_BYTES_MAX, load_stories, shipped_stories
from schemas.story_cells import (
    EXPECTED_COLUMNS,
    MIDNIGHT_MS,
    Kind,
    parse_time,
    read_cell,
    show_cell,
    show_time,
)
from schemas.story_lines import Reader
from schemas.story_steps import Expect, Record, Story, TheEnd, TimePasses
from schemas.tables import CONSERVATION_COUNTS, DIMS

HOUR = 3_600_000
TEN = MIDNIGHT_MS + 10 * HOUR

TOLD = """\
> What a cart is.
with session_gap 45m

# A cart is abandoned
> It takes an hour.
at        user  event         products      value  passive  properties.step
10:00     u-1   Product Seen  sku-1, sku-2  19.99  yes      2
10:00:30  -     add_to_cart   -             -      -        -
11:00  (time passes)
10:59 late  -  add_to_cart    -             -      -        -

expect transitions
at     visitor  value  skipped
10:00  anna     20.00  view > cart

expect no orders
(the end)

# Another
with split_at_midnight yes
with session_gap 30m
at        partition  visitor  event
2d 10:00  1          bert     add_to_cart
expect sessions
is_closed  started_at
no         2d 10:00:00
"""


def read(text: str) -> tuple[tuple[Story, ...], list[tuple[int, str, str]]]:
    document = Document("shop.stories.txt")
    stories = Reader(document).read(text)
    return stories, [(problem.line, problem.message, problem.hint) for problem in document.in_order]


def test_what_a_file_says() -> None:
    stories, problems = read(TOLD)
    assert not problems
    cart, another = stories
    assert (cart.title, cart.line, cart.settings) == ("A cart is abandoned", 4, {"session_gap_ms": 2_700_000})
    event = {"event": "add_to_cart", "visitor_id": "anna"}
    assert cart.steps == (
        Record(
            7, 0, TEN,
            {
                "user_id": "u-1", "event": "Product Seen", "products": ["sku-1", "sku-2"], "value": 199_900,
                "passive": True, "properties.step": "2", "visitor_id": "anna",
            },
        ),
        Record(8, 0, TEN + 30_000, event),
        TimePasses(9, TEN + HOUR),
        Record(10, 0, TEN + 59 * 60_000, event, comes_late=True),
        Expect(
            12, "transitions", ("at", "visitor_id", "value", "skipped"),
            (("10:00:00", "anna", "20", "view>cart"),), TEN + HOUR + 1,
        ),
        Expect(16, "orders", tuple(EXPECTED_COLUMNS["orders"])[:4], (), TEN + HOUR + 1),
        TheEnd(17),
    )  # fmt: skip
    assert another.settings == {"session_gap_ms": 1_800_000, "split_at_midnight": True}
    assert another.partitions == 2
    assert another.steps[1] == Expect(
        24, "sessions", ("is_closed", "started_at"), (("no", "2d 10:00:00"),), TEN + 48 * HOUR + 1
    )


REFUSED: list[tuple[str, int, str, str]] = [
    ("10:00  anna\n", 1, "this line stands before the first story", "# A cart is abandoned"),
    ("#\nexpect no orders\n", 1, "a story without a title", "# A cart"),
    ("# a\nexpect no orders\n# a\nexpect no orders\n", 3, "the story 'a' is here twice", "on line 1"),
    ("# a\nat  event\n10:00  buy\n", 1, "the story 'a' expects nothing", "expect transitions"),
    ("# a\n10:00  buy\nexpect no orders\n", 2, "this line belongs to no table", "at  visitor  event"),
    ("# a\nat\tevent\nexpect no orders\n", 2, "a tab in a story", "spaces"),
    ("# a\nat  evnt\nexpect no orders\n", 2, "'evnt' is no column of events", "did you mean 'event'?"),
    ("# a\nat  visitor\nexpect no orders\n", 2, "a table of events lacks the column 'event'", "event"),
    ("# a\nat  event  event\nexpect no orders\n", 2, "the column 'event' is here twice", "differ"),
    ("# a\nat  event\n25:00  buy\nexpect no orders\n", 3, "'25:00' is no time", "2d 10:00"),
    ("# a\nat  event\n10:00  buy  c1\nexpect no orders\n", 3, "3 cells below 2 columns", "'-' is nothing"),
    ("# a\nat  event\n10:00  -\nexpect no orders\n", 3, "a record without an event", "(time passes)"),
    ("# a\nat  event  value\n10:00  buy  1,5\nexpect no orders\n", 3, "value: '1,5' cannot be read", "19.99"),
    ("# a\nat  event  partition\n10:00  buy  16\nexpect no orders\n", 3, "there is no partition 16", "15"),
    ("# a\n11:00  now  (time passes)\nexpect no orders\n", 2, "this line does not say how far", "11:00"),
    ("# a\nexpect session\nkind\nx\n", 2, "'session' is nothing that can be expected", "'sessions'?"),
    ("# a\nexpect orders\nkind\n", 3, "'kind' is no column of orders", "known: "),
    ("# a\nexpect sessions\noutcome\n", 2, "expect sessions: there is no row", "expect no sessions"),
    ("# a\nexpect sessions\n", 2, "expect sessions: there is no row", "expect no sessions"),
    ("# a\nexpect sessions\nis_closed\nmaybe\n", 4, "is_closed: 'maybe' cannot be read", "yes or no"),
    ("# a\nexpect sessions\nevents  outcome\n1\n", 4, "1 cells below 2 columns", "two spaces"),
    ("# a\nwith sesion_gap 1h\nexpect no orders\n", 2, "'with sesion_gap 1h' is no setting", "session_gap"),
    ("# a\nwith session_gap\nexpect no orders\n", 2, "'with session_gap' is no setting", "session_gap"),
    ("# a\nwith session_gap ever\nexpect no orders\n", 2, "'ever' cannot be the session_gap", "30m"),
    ("# a\nwith session_gap 2d\nexpect no orders\n", 2, "'2d' cannot be the session_gap", "30m"),
    (
        "# a\nat  event\n10:00  buy\n09:00  buy\nexpect no orders\n",
        4, "time has come to 09:59:50: this record is late", "'09:00:00 late'",
    ),
    ("# a\nat  event\n10:00  a\n10:01 late  b\nexpect no orders\n", 4, "this record is not late", "late"),
    ("# a\nat  event\n10:00  a\n9:00  (time passes)\nexpect no orders\n", 4, "time does not go back", "10:0"),
    ("# a\nat  event\n10:00  a\n(the end)\n11:00  b\nexpect no orders\n", 5, "nothing happens", "before"),
    (
        "# a\nat  event\n10:00  a\nexpect no orders\nat  event\n10:00  b\nexpect no orders\n",
        6, "time has come to 10:00:00.001: this record is late", "'10:00:00 late'",
    ),
]  # fmt: skip


@pytest.mark.parametrize(("text", "line", "message", "hint"), REFUSED)
def test_refused(text: str, line: int, message: str, hint: str) -> None:
    ((found_line, found_message, found_hint),) = read(text)[1]
    assert found_line == line
    assert found_message.startswith(message)
    assert hint in found_hint


def test_everything_wrong_is_told_at_once_with_file_and_line(tmp_path: Path) -> None:
    file = tmp_path / "shop.stories.txt"
    file.write_text("# a\nat  evnt\n10:00  x\n\nexpect sesions\noutcome\nopen\n\n# b\n")
    with pytest.raises(BadDefinition) as caught:
        load_stories(str(tmp_path / "shop.yaml"))
    assert [(problem.file, problem.line) for problem in caught.value.problems] == [
        (str(file), line) for line in (2, 5, 9)
    ]


@pytest.mark.parametrize(
    ("raw", "line", "message"),
    [
        (b"", 1, "there is no story in it"),
        (b"> a\n# \xff\n", 2, "not UTF-8"),
        (b" " * (FILE_BYTES_MAX + 1), 1, "the file is larger than"),
        (None, 1, "cannot read these stories: No such file"),
    ],
)
def test_files_that_are_no_stories(tmp_path: Path, raw: bytes | None, line: int, message: str) -> None:
    if raw is not None:
        (tmp_path / "shop.stories.txt").write_bytes(raw)
    with pytest.raises(BadDefinition) as caught:
        load_stories(str(tmp_path / "shop.yaml"))
    (problem,) = caught.value.problems
    assert problem.line == line
    assert problem.message.startswith(message)
    assert problem.hint


def test_an_unknown_name_says_which_there_are() -> None:
    with pytest.raises(BadDefinition, match="there are those of checkout"):
        load_stories("w1")


@pytest.mark.parametrize("name", shipped_stories())
def test_what_ships_is_in_order(name: str) -> None:
    assert len(load_stories(name).stories) >= 28


def test_every_example_of_the_readme_is_in_order() -> None:
    readme = (Path(schemas.__file__).parent / "README.md").read_text()
    examples = re.findall(r"```text\n(# .*?)```", readme, re.DOTALL)
    assert examples
    for example in examples:
        assert not read(example)[1]


def test_the_readme_names_every_column() -> None:
    readme = (Path(schemas.__file__).parent / "README.md").read_text()
    for table, columns in EXPECTED_COLUMNS.items():
        row = re.search(rf"^\| `{table}` \| [^|]+ \| (.+) \|$", readme, re.MULTILINE)
        assert row
        named = set(re.findall(r"\w+", re.sub(r"\(.*?\)", "", row[1])))
        common = {"visitor_id", "person_id", "session", "site", *DIMS} if "visitor_id" in columns else set()
        assert named | common == set(columns), table


def test_what_can_be_expected_of_records_is_what_becomes_of_them() -> None:
    assert tuple(EXPECTED_COLUMNS["records"]) == CONSERVATION_COUNTS


WORDS = st.sampled_from(
    ["# a", "at", "event", "expect", "sessions", "no", "outcome", "10:00", "2d 10:00", "late", "buy", "-",
     "  ", "\n", "(time passes)", "(the end)", "with", "session_gap", "1h", "partition", "99", "value"]
)  # fmt: skip


@given(st.lists(WORDS | st.text(max_size=3), max_size=40).map(" ".join))
def test_no_text_ends_in_a_traceback(text: str) -> None:
    read(text)
    read("# a\nat  event  value  received_at\n" + text)


@given(st.integers(MIDNIGHT_MS, MIDNIGHT_MS + 999 * 24 * HOUR))
def test_times_are_read_as_they_are_shown(at_ms: int) -> None:
    assert parse_time(show_time(at_ms)) == at_ms


@pytest.mark.parametrize(
    ("kind", "text", "shown"),
    [
        ("time", "9:05", "09:05:00"),
        ("time", "1d 10:00:00.5", "1d 10:00:00.500"),
        ("money", "20.00", "20"),
        ("money", "0.5", "0.50"),
        ("money", "-1.2345", "-1.2345"),
        ("number", "007", "7"),
        ("number", "0", "-"),
        ("flag", "-", "no"),
        ("list", "a,b,  c", "a, b, c"),
        ("path", "view > cart", "view>cart"),
        ("text", "-", "-"),
    ],
)
def test_cells_are_shown_in_one_way(kind: Kind, text: str, shown: str) -> None:
    assert show_cell(kind, read_cell(kind, text)) == shown
    assert show_cell(kind, read_cell(kind, shown)) == shown
