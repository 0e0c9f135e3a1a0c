"""The questions in the README of sinks can be asked as they stand there."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

import sinks
from sinks.clickhouse.query import Reader
from sinks.clickhouse.writer import ClickHouseSink
from tests.sinks.places import OURS

README = (Path(sinks.__file__).parent / "README.md").read_text()
QUESTIONS = [
    statement.strip()
    for block in re.findall(r"^```sql\n(.*?)^```", README, re.MULTILINE | re.DOTALL)
    for statement in re.split(r";$", block, flags=re.MULTILINE)
]


@pytest.fixture(scope="module")
def reader(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Reader]:
    sink = ClickHouseSink(f"chdb://{tmp_path_factory.mktemp('readme') / 'db'}")
    sink.open(OURS)
    reader = sink.reader()
    yield reader
    reader.close()
    sink.close()


def test_there_are_questions() -> None:
    assert len(QUESTIONS) >= 12
    assert all(question.startswith("-- ") for question in QUESTIONS)


@pytest.mark.parametrize("question", QUESTIONS, ids=lambda text: text.splitlines()[0][3:])
def test_a_question_has_an_answer(reader: Reader, question: str) -> None:
    assert reader.query(question).column_names
