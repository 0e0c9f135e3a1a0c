"""`pathline explain`: the story as it is printed, and what it says where there is none."""

from __future__ import annotations

import json
import re
from pathlib import Path
from subprocess import CompletedProcess

import pytest

from tests.cli.run import ROOT, mended, pathline

JOURNEY = """\
journey: shop
version: 3
key: visitor
conversion: order
stages:
  - name: view
    when: {event: [page_view, view_item]}
  - name: interest
    optional: true
    when:
      - {event: search}
      - {event: view_item, at_least: 2}
  - name: cart
    optional: true
    when: {event: [add_to_cart, view_cart, remove_from_cart, cart_viewed]}
    abandon_after: 10m
  - name: checkout
    when: {event: begin_checkout, properties.step: {gte: 1}}
  - name: order
    when: {event: purchase, value: {gt: 9.5}}
regress:
  - to: view
    when: {event: cart_emptied}
"""

OTHER = """\
journey: reading
version: 1
conversion: read
stages:
  - name: seen
    when: {event: page_view}
  - name: read
    when: {event: scroll, after: seen, not_before: 1m}
"""

STORIES = Path(__file__).parent / "explained"
"""What is printed, as it must be."""


def record(time: str, event: str, visitor: str = "anna", **more: object) -> str:
    at = {"event_at": f"2026-01-05T{time}Z", "event": event, "visitor_id": visitor, "site": "shop"}
    return json.dumps(at | {"event_id": f"{visitor} {time} {event}"} | more)


ADD = record("10:03:00.250", "add_to_cart", products=["p2"], cart_id="c1", value=19.99, currency="EUR")
ONE = [
    record("10:00:00", "page_view", url="https://shop.example/", device="mobile"),
    record("10:01:00", "view_item", products=["p1"]),
    record("10:02:00", "view_item", products=["p2"]),
    ADD,
    record("10:04:00", "push_sent", passive=True),
    record("10:05:00", "scroll"),
    record("10:06:00", "view_item", products=["p1"]),
    record("10:07:00", "view_cart", cart_id="c1"),
    record("10:26:00", "cart_emptied"),
    record("12:00:00", "view_item", user_id="u1", products=["p2"]),
    record("12:01:00", "begin_checkout", cart_id="c1", properties={"step": 1}),
    record("12:02:00", "purchase", cart_id="c1", order_id="o1", value=19.99, currency="EUR"),
    record("12:03:00", "purchase", order_id="o1", value=19.99, currency="EUR"),
    record("10:00:00", "page_view", "late"),
    record("12:04:00", "add_to_cart", "bert", cart_id="c1"),
    record("12:05:00", "page_view", "c1"),
]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Files, definitions, and a database that was made from them and keeps events."""
    folder = tmp_path_factory.mktemp("explain")
    (folder / "one.jsonl").write_text("\n".join(ONE) + "\n")
    (folder / "two.jsonl").write_text(ADD + "\n")
    (folder / "shop.yaml").write_text(JOURNEY)
    (folder / "newer.yaml").write_text(JOURNEY.replace("version: 3", "version: 4"))
    (folder / "reading.yaml").write_text(OTHER)
    inputs = ("--input", "one.jsonl", "--input", "two.jsonl", "--store-events")
    journeys = ("--journey", "./shop.yaml", "--journey", "./reading.yaml")
    done = pathline("run", *inputs, *journeys, cwd=folder)
    assert done.returncode == 0, done.stderr
    return folder


def told(done: CompletedProcess[str]) -> str:
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_a_visitor_s_story_from_files(folder: Path) -> None:
    files = ("--input", "one.jsonl", "--input", "two.jsonl")
    done = pathline("explain", "anna", *files, "--journey", "./shop.yaml", cwd=folder)
    assert told(done) == (STORIES / "anna.txt").read_text()
    assert not done.stderr


def test_a_cart_of_several_visitors_in_two_journeys_and_a_part_of_the_time(folder: Path) -> None:
    journeys = ("--journey", "./newer.yaml", "--journey", "./reading.yaml")
    part = ("--from", "2026-01-05T10:04", "--to", "2026-01-05T12:02")
    assert told(pathline("explain", "c1", *journeys, *part, cwd=folder)) == (STORIES / "c1.txt").read_text()


def test_any_version_that_was_run_can_be_told(folder: Path, tmp_path: Path) -> None:
    for name in ("one.jsonl", "shop.yaml", "newer.yaml"):
        (tmp_path / name).write_text((folder / name).read_text())
    old, new = ("--journey", "./shop.yaml"), ("--journey", "./newer.yaml")
    done = pathline("run", "--input", "one.jsonl", *new, *old, "--store-events", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    for chosen, versions in ((old, {"3"}), (new, {"4"}), ((*old, *new), {"3", "4"}), ((), {"4"})):
        text = told(pathline("explain", "anna", *chosen, cwd=tmp_path))
        assert set(re.findall(r"^  session 1, shop (\d) ", text, re.MULTILINE)) == versions
        assert ("warning" in text) == (not chosen), "only where no definition was given"
        assert ("shop.yaml:15" in text, "newer.yaml:15" in text) == ("3" in versions, new[1] in chosen)


def test_an_order_without_its_definition_and_cut_short(folder: Path) -> None:
    done = pathline("explain", "o1", "--limit", "2", cwd=folder)
    assert told(done) == (STORIES / "o1.txt").read_text()


def test_an_account_in_one_of_its_journeys(folder: Path) -> None:
    text = told(pathline("explain", "u1", "--journey", "./reading.yaml", cwd=folder))
    assert text.startswith("u1 is an account of anna\n")
    assert "→ read (advance) because event is scroll, after seen (not_before 1m) (reading.yaml:8)\n" in text
    assert "shop" not in text.replace(" on shop,", "").replace("https://shop.", "")


def test_what_is_still_open(folder: Path) -> None:
    files = ("--input", "one.jsonl", "--journey", "./shop.yaml", "--until-drained")
    text = told(pathline("explain", "anna", *files, cwd=folder))
    assert "12:03:00, 4 events, still open\n" in text
    assert "a copy of" not in text
    text = told(pathline("explain", "c1", *files, cwd=folder))
    assert "in no session yet: it waits until its time has passed\n" in text
    assert re.search(r"^  open +shop: stage cart, deadline 2026-01-05 12:14:00$", text, re.MULTILINE)


def test_nothing_found(folder: Path, tmp_path: Path) -> None:
    done = pathline("explain", "nobody", cwd=folder)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith(
        "nothing found: no event of a visitor, order, cart or account 'nobody'\n  hint: "
    )
    for name in ("one.jsonl", "shop.yaml"):
        (tmp_path / name).write_text((folder / name).read_text())
    files = ("--input", "one.jsonl", "--journey", "./shop.yaml")
    assert pathline("run", *files, cwd=tmp_path).returncode == 0
    done = pathline("explain", "anna", cwd=tmp_path)
    assert (done.returncode, done.stdout) == (1, "")
    assert "run with --store-events, or tell it from --input FILE" in done.stderr


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (("--clickhouse", "chdb://none"), "there is no database"),
        (("--input", "none.jsonl"), "no such file"),
        (("--from", "yesterday"), "--from: 'yesterday' is no time"),
        (("--journey", "none"), "no journey of this name"),
        (("--mapping", "none"), "no mapping of this name"),
    ],
)
def test_what_is_wrong_is_said_with_a_hint(options: tuple[str, ...], said: str, tmp_path: Path) -> None:
    assert said in "\n".join(mended(pathline("explain", "anna", *options, cwd=tmp_path)))


def test_the_readme_tells_the_truth(tmp_path: Path) -> None:
    readme = (ROOT / "README.md").read_text()
    for name, text in re.findall(r"^cat > (\S+) <<'END'\n(.*?)^END$", readme, re.MULTILINE | re.DOTALL):
        (tmp_path / name).write_text(text)
    shown = re.search(r"^\$ pathline (explain .*)\n((?:.+\n)+?)```$", readme, re.MULTILINE)
    assert shown
    assert shown[2] in told(pathline(*shown[1].split(), cwd=tmp_path))
