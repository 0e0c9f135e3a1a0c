"""`pathline test`: stories that are true, stories that are not, and files that are no stories."""

from __future__ import annotations

import re
from importlib import resources
from pathlib import Path

import pytest

import schemas
from pipeline.cli.stories import Suite, load
from pipeline.cli.story_diff import beside
from pipeline.cli.tell import canonical, line, tell
from schemas.mappings import load_mapping
from schemas.stories import shipped_stories
from schemas.story_cells import MIDNIGHT_MS
from schemas.story_steps import Record, Story
from tests.cli import run
from tests.cli.inside import pathline
from tests.cli.run import mended

JOURNEY = """\
journey: shop
version: 3
conversion: order
stages:
  - name: view
    when: {event: page_view}
  - name: order
    when: {event: purchase, properties.kind: real}
"""

STORIES = """\
# A real purchase converts
at     event      properties.kind
10:00  page_view  -
10:05  purchase   real

expect sessions
outcome    path
converted  view>order

# A trial does not
at     event      properties.kind
10:00  page_view  -
10:05  purchase   trial
(the end)

expect sessions
outcome  path
browsed  view
"""

WRONG = STORIES.replace("browsed  view", "abandoned  view\nopen  -")

FILTERED = """\
# A trial is no event at all
at     event      properties.kind
10:00  page_view  -
10:05  purchase   trial

expect records
received  accepted  filtered
2         1         1
"""

MAPPING = """\
mapping: ours
fields: {event_at: ts, event: type, visitor_id: who}
filters:
  - name: trials
    when: {properties.kind: trial}
"""


@pytest.fixture
def shop(tmp_path: Path) -> Path:
    (tmp_path / "shop.yaml").write_text(JOURNEY)
    (tmp_path / "shop.stories.txt").write_text(STORIES)
    return tmp_path


SHIPPED = [
    pytest.param(suite, story, id=f"{suite.journey.name}: {story.title}")
    for suite in load(shipped_stories(), "canonical")[0]
    for story in suite.stories.stories
]


@pytest.mark.parametrize(("suite", "story"), SHIPPED)
def test_stories_that_ship_are_true(suite: Suite, story: Story) -> None:
    for look in tell(story, suite.journey, load_mapping("canonical")):
        assert look.found == look.expect.rows, "\n".join(
            [
                f"{suite.stories.file}:{look.expect.line}",
                *(line.plain for line in beside(look.expect.columns, look.expect.rows, look.found)),
            ]
        )


def test_the_example_of_the_readme_is_true(tmp_path: Path) -> None:
    readme = (Path(schemas.__file__).parent / "README.md").read_text()
    (example,) = re.findall(r"```text\n(# .*?)```", readme, re.DOTALL)
    checkout = resources.files("schemas") / "definitions" / "journeys" / "checkout.yaml"
    (tmp_path / "shop.yaml").write_bytes(checkout.read_bytes())
    (tmp_path / "shop.stories.txt").write_text(example)
    ((suite,), mapping) = load([str(tmp_path / "shop.yaml")], "canonical")
    for look in tell(suite.stories.stories[0], suite.journey, mapping):
        assert look.is_right, look


def test_true_stories(shop: Path) -> None:
    done = run.pathline("test", "./shop.yaml", cwd=shop)
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines() == [
        "shop version 3: shop.stories.txt",
        "✓ A real purchase converts",
        "✓ A trial does not",
        "shop version 3: 2 stories as told",
    ]


def test_a_story_that_is_not_true_shows_what_was_found_beside_it(shop: Path) -> None:
    (shop / "shop.stories.txt").write_text(WRONG)
    done = pathline("test", "./shop.yaml", cwd=shop)
    assert done.returncode == 1
    assert done.stdout.splitlines() == [
        "shop version 3: shop.stories.txt",
        "✓ A real purchase converts",
        "✗ A trial does not",
        "  shop.stories.txt:16: expect sessions",
        "    expected           │  found",
        "    outcome      path  │  outcome    path",
        "    ≠ abandoned  view  │  ≠ browsed  view",
        "    ≠ open       -     │",
        "shop version 3: 1 of 2 stories went wrong",
    ]


def test_only_some(shop: Path) -> None:
    (shop / "shop.stories.txt").write_text(WRONG)
    done = pathline("test", "./shop.yaml", "--only", "real", cwd=shop)
    assert done.returncode == 0
    assert done.stdout.splitlines()[1:] == ["✓ A real purchase converts", "shop version 3: 1 story as told"]
    said = mended(pathline("test", "./shop.yaml", "--only", "unreal", cwd=shop))
    assert said == [
        "--only: no story has 'unreal' in its title",
        "  hint: there are: A real purchase converts; A trial does not",
    ]


def test_what_a_mapping_says_of_events_counts(shop: Path) -> None:
    (shop / "ours.yaml").write_text(MAPPING)
    (shop / "shop.stories.txt").write_text(FILTERED)
    assert pathline("test", "./shop.yaml", cwd=shop).returncode == 1
    assert pathline("test", "./shop.yaml", "--mapping", "./ours.yaml", cwd=shop).returncode == 0


def test_everything_wrong_with_journeys_stories_and_mapping_is_told_at_once(shop: Path) -> None:
    (shop / "shop.yaml").write_text(JOURNEY.replace("conversion: order", "conversion: odrer"))
    (shop / "shop.stories.txt").write_text(STORIES.replace("outcome ", "outcom  ").replace("10:05", "10.05"))
    (shop / "ours.yaml").write_text("mapping: ours\n")
    said = mended(pathline("test", "./shop.yaml", "./other.yaml", "--mapping", "./ours.yaml", cwd=shop))
    for place in (
        "./shop.yaml:3: conversion: there is no stage 'odrer'",
        "shop.stories.txt:4: '10.05' is no time",
        "shop.stories.txt:7: 'outcom' is no column of sessions",
        "./other.yaml:1: cannot read this journey: No such file or directory",
        "other.stories.txt:1: cannot read these stories: No such file or directory",
        "./ours.yaml:1: a mapping lacks 'fields'",
    ):
        assert place in said, said
    assert "  hint: those of shop.yaml are in shop.stories.txt" in said


def test_a_record_becomes_a_line_of_json() -> None:
    record = Record(
        1,
        0,
        MIDNIGHT_MS + 500,
        {"event": "buy", "value": 199_900, "properties.a": "1", "received_at": MIDNIGHT_MS},
    )
    assert line(record) == (
        b'{"event_at": "2026-01-05T00:00:00.500+00:00", "event": "buy", "value": 19.99, '
        b'"received_at": "2026-01-05T00:00:00.000+00:00", "properties": {"a": "1"}}'
    )


def test_a_mapping_keeps_what_it_says_of_canonical_events() -> None:
    ecom, own = canonical(load_mapping("ecom")), load_mapping("canonical")
    assert ecom.fields == own.fields
    assert ecom.passive_events == load_mapping("ecom").passive_events


def test_tables_stand_one_below_the_other_where_there_is_no_room() -> None:
    tables = (("a", "b"), [("1", "2")], [("1", "3"), ("4", "5")])
    assert [text.plain for text in beside(*tables)] == [
        "expected  │  found",
        "a  b      │  a    b",
        "1  ≠ 2    │  1    ≠ 3",
        "          │  ≠ 4  5",
    ]
    assert [text.plain for text in beside(*tables, width=20)] == [
        "expected", "a  b", "1  ≠ 2", "found", "a    b", "1    ≠ 3", "≠ 4  5",
    ]  # fmt: skip
    assert beside(("a",), [], [("1",)])[0].plain == "expected: nothing  │  found"
