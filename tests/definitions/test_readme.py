"""The README of schemas says what is so: its examples load, its tables are those of the code."""

from __future__ import annotations

import re
from pathlib import Path

import schemas
from schemas.conditions import OPS_OF
from schemas.events import FIELDS
from schemas.journeys import load_journeys
from schemas.mappings import load_mapping
from tests.definitions.test_conditions import read

README = (Path(schemas.__file__).parent / "README.md").read_text()
EXAMPLES = re.findall(r"```yaml\n(.*?)```", README, re.DOTALL)


def test_examples(tmp_path: Path) -> None:
    condition, journey, rules, objects, mapping = EXAMPLES
    inner = "\n".join(line[2:] for line in condition.splitlines()[1:])
    assert read(inner)[1] == []
    (tmp_path / "journey.yaml").write_text(journey)
    (tmp_path / "mapping.yaml").write_text(mapping)
    assert len(load_journeys([str(tmp_path / "journey.yaml")])) == 1
    (tmp_path / "journey.yaml").write_text(journey.replace("regress:", rules + "regress:"))
    assert not load_journeys([str(tmp_path / "journey.yaml")])[0].is_stateless
    (tmp_path / "journey.yaml").write_text(journey.replace("    abandon_after: 1h", "    #") + objects)
    assert load_journeys([str(tmp_path / "journey.yaml")])[0].objects
    assert load_mapping(str(tmp_path / "mapping.yaml")).fields


def test_fields() -> None:
    rows = re.findall(r"^\| `(\w+)` \| (\w+) \| (.+) \|$", README, re.MULTILINE)
    assert [(name, kind, doc.replace("`", "")) for name, kind, doc in rows] == [
        (field.name, field.kind, field.doc.replace("`", "")) for field in FIELDS.values()
    ]


def test_operators() -> None:
    for kind in ("money, number", "flag", "list", "time, json", "word, text"):
        row = re.search(rf"^\| {kind} \| (.+) \|$", README, re.MULTILINE)
        assert row
        assert set(re.findall(r"`(\w+)`", row[1])) == set(OPS_OF[kind.split(", ")[0]])
