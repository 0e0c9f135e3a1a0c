"""`pathline check`: everything that is wrong, at once, each with its line; and what is right, in words."""

from __future__ import annotations

from pathlib import Path

from tests.cli import run
from tests.cli.inside import pathline

JOURNEY = """\
journey: shop
version: 1
key: visitor
conversion: odrer
stages:
  - name: view
    when: {event: page_view}
  - name: order
    when: {evnt: purchase}
    abandon_after: 10 min
"""

MAPPING = """\
mapping: ours
fields:
  event_at: ts
  evnt: type
  visitor_id: who
"""


def test_what_ships_is_in_order(tmp_path: Path) -> None:
    done = run.pathline("check", cwd=tmp_path)
    assert done.returncode == 0
    assert done.stdout.splitlines() == [
        "journey checkout version 2: view → cart → checkout → payment → order",
        "mapping canonical",
        "settings are in order",
    ]


def test_every_mistake_of_a_journey_and_a_mapping_comes_with_file_and_line(tmp_path: Path) -> None:
    (tmp_path / "shop.yaml").write_text(JOURNEY)
    (tmp_path / "ours.yaml").write_text(MAPPING)
    done = pathline("check", "--journey", "./shop.yaml", "--mapping", "./ours.yaml", cwd=tmp_path)
    assert done.returncode == 2
    assert not done.stdout
    for place in ("shop.yaml:4:", "shop.yaml:9:", "shop.yaml:10:", "ours.yaml:4:"):
        assert place in done.stderr, done.stderr
    assert "did you mean 'order'?" in done.stderr
    assert done.stderr.count("hint: ") >= 4
    assert "Traceback" not in done.stderr


def test_settings_from_file_and_environment_are_checked_too(tmp_path: Path) -> None:
    (tmp_path / "pathline.toml").write_text('session_gap = "half an hour"\nsesion_length_max = "24h"\n')
    done = pathline("check", cwd=tmp_path, PATHLINE_WORKERS="many")
    assert done.returncode == 2
    assert "pathline.toml:1: session_gap: 'half an hour' is no duration" in done.stderr
    assert "pathline.toml:2: no setting is called 'sesion_length_max'" in done.stderr
    assert "PATHLINE_WORKERS: workers:" in done.stderr


def test_an_active_version_that_does_not_run_is_found(tmp_path: Path) -> None:
    (tmp_path / "pathline.toml").write_text('active = ["checkout:99"]\n')
    done = pathline("check", cwd=tmp_path)
    assert done.returncode == 2
    assert "--active: checkout:99 does not run here\n  hint: what runs is checkout:" in done.stderr


def test_an_unknown_name_says_which_there_are(tmp_path: Path) -> None:
    done = pathline("check", "--journey", "chekout", cwd=tmp_path)
    assert done.returncode == 2
    assert "checkout" in done.stderr
    assert "Traceback" not in done.stderr


def test_objects_that_no_order_could_complete_are_found_before_a_run(tmp_path: Path) -> None:
    (tmp_path / "ours.yaml").write_text(MAPPING.replace("evnt", "event") + "orders: none\n")
    (tmp_path / "events.jsonl").touch()
    for command in (("check",), ("run", "--input", "events.jsonl")):
        done = pathline(*command, "--mapping", "./ours.yaml", cwd=tmp_path)
        assert done.returncode == 2, done.stderr
        assert "--mapping: ours says orders: none, but they alone complete" in done.stderr
        assert "hint: say in it which events are orders" in done.stderr
