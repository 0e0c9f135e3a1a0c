"""The docs tell the truth: commands and options exist, links lead somewhere, examples run, views are real."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
import typer
from typer.core import TyperCommand, TyperGroup

from pipeline.cli.app import app
from sinks.clickhouse.migrate import views

ROOT = Path(__file__).parents[1]
PAGES = sorted(
    path
    for path in ROOT.rglob("*.md")
    if not any(
        part.startswith((".", "node_modules")) or part == "dist" for part in path.relative_to(ROOT).parts
    )
)
README = ROOT / "README.md"
COMMANDS = typer.main.get_command(app)
assert isinstance(COMMANDS, TyperGroup)

COMMAND = re.compile(r"(?:^|[\s`/])pathline ([a-z]+)((?: [^`\n]*)?)", re.MULTILINE)
BLOCK = re.compile(r"^```(\w*)( run)?\n(.*?)^```", re.MULTILINE | re.DOTALL)
LINK = re.compile(r"\]\(([^)#\s]+)[^)]*\)")
pages = pytest.mark.parametrize("page", PAGES, ids=lambda path: str(path.relative_to(ROOT)))


def code_of(text: str) -> str:
    """What a page says in code: blocks, and what stands in backticks."""
    inline = re.findall(r"`([^`\n]+)`", BLOCK.sub("", text))
    return "\n".join([*(body for _, _, body in BLOCK.findall(text)), *inline])


def told() -> list[tuple[str, str, str]]:
    """(page, command, the rest of its line) wherever a page names a command."""
    return [
        (str(page.relative_to(ROOT)), name, rest)
        for page in PAGES
        for name, rest in COMMAND.findall(code_of(page.read_text()))
    ]


def test_commands_that_pages_name_exist_and_have_help() -> None:
    for page, name, _ in told():
        command = COMMANDS.commands.get(name)
        assert command is not None, f"{page}: pathline {name}"
        assert command.help


def test_options_that_pages_name_exist() -> None:
    for page, name, rest in told():
        command = COMMANDS.commands.get(name)
        below = getattr(command, "commands", {})  # `pathline state backup`: the options are those of backup
        word = rest.split()[0] if rest.split() else ""
        command = below.get(word, command)
        for option in re.findall(r"(?<=\s)--[a-z-]+", rest):
            assert option in options(command), f"{page}: pathline {name} {option}"


def options(command: TyperCommand | None) -> set[str]:
    assert command is not None
    return {"--help", *(name for parameter in command.params for name in parameter.opts)}


def test_every_command_and_option_says_what_it_is_for() -> None:
    below = [
        (f"{name} {word}", one)
        for name, group in COMMANDS.commands.items()
        for word, one in getattr(group, "commands", {}).items()
    ]
    for name, command in [*COMMANDS.commands.items(), *below]:
        assert command.help, name
        for parameter in command.params:
            assert getattr(parameter, "help", None), f"{name} {parameter.opts}"


def test_the_readme_lists_every_command() -> None:
    listed = re.findall(r"^\| `pathline (\w+)` \|", README.read_text(), re.MULTILINE)
    assert sorted(listed) == sorted(COMMANDS.commands)


@pages
def test_links_lead_somewhere(page: Path) -> None:
    for target in LINK.findall(page.read_text()):
        if "://" not in target:
            assert (page.parent / target).exists(), target


@pages
def test_views_and_columns_that_a_page_asks_for_are_real(page: Path) -> None:
    columns = {view.name: set(re.findall(r"^    `(\w+)`", view.text, re.MULTILINE)) for view in views()}
    for view, column in re.findall(r"\bbi\.(\w+)(?:\.(\w+))?", page.read_text()):
        assert view in columns, f"bi.{view}"
        assert not column or column in columns[view], f"bi.{view}.{column}"


@pages
def test_a_page_names_no_place_of_somebody_s_machine(page: Path) -> None:
    assert not re.search(r"(?:^|[\s`(\"'])/(?:home|root|work|Users|mnt)/", page.read_text())


EXAMPLES = [
    pytest.param(body, id=f"{page.relative_to(ROOT)}:{page.read_text()[: match.start()].count(chr(10)) + 1}")
    for page in PAGES
    for match in BLOCK.finditer(page.read_text())
    for language, marked, body in [match.groups()]
    if marked and language == "sh"
]


@pytest.mark.parametrize("example", EXAMPLES)
def test_examples_run(example: str, tmp_path: Path) -> None:
    bin_ = tmp_path / "bin"
    bin_.mkdir()
    (bin_ / "pathline").write_text(
        f"#!/bin/sh\nexec {shlex.quote(sys.executable)} -c 'from pipeline.cli import main; main()' \"$@\"\n"
    )
    (bin_ / "pathline").chmod(0o755)
    folder = tmp_path / "here"
    folder.mkdir()
    environment = os.environ | {"PATH": f"{bin_}:{os.environ['PATH']}", "PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        ["sh", "-euc", example], cwd=folder, env=environment, capture_output=True, text=True, timeout=600
    )
    assert done.returncode == 0, done.stderr
    assert "anna" not in done.stderr
    assert re.search(r"^view +advanced +60\b", done.stdout, re.MULTILINE), done.stdout
    assert re.search(r"^cart +abandoned", done.stdout, re.MULTILINE), done.stdout


def test_there_is_an_example_that_runs() -> None:
    assert EXAMPLES


def test_the_lock_names_no_place_to_load_from() -> None:
    lock = (ROOT / "requirements.lock").read_text()
    assert "://" not in lock
    assert "index" not in lock
    assert lock.count("\n    --hash=sha256:") > 500
