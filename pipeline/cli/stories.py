"""`pathline test`: the stories beside journeys, told to the real pipeline in memory."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Final

import typer
from rich.console import Console
from rich.text import Text

from pipeline.cli.compiled import told as told_compiling
from pipeline.cli.story_diff import beside
from pipeline.cli.tell import Look, canonical, tell
from pipeline.settings import BadSettings
from schemas.documents import BadDefinition, Problem
from schemas.journeys import Journey, load_journeys
from schemas.mappings import Mapping, load_mapping
from schemas.stories import load_stories, shipped_stories
from schemas.story_steps import Stories, Story

EXIT_WRONG: Final = 1
INDENT: Final = "    "
TITLES_SHOWN: Final = 3


@dataclass(frozen=True)
class Suite:
    """A journey and its stories."""

    journey: Journey
    stories: Stories


def try_stories(
    definitions: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[DEFINITION]...", help="Names or files of journeys (default: all that come with stories)"
        ),
    ] = None,
    only: Annotated[str, typer.Option(help="Only stories with this text in their title")] = "",
    mapping: Annotated[
        str, typer.Option(help="Whose filters, passive events and orders count: name or file of a mapping")
    ] = "canonical",
) -> None:
    """Tell the stories beside journey definitions to the pipeline, and see whether they come out as they say.

    The stories of ./shop.yaml are in ./shop.stories.txt.
    """
    suites, orders = load(definitions or shipped_stories(), mapping)
    suites = _chosen(suites, only)
    console = Console(highlight=False, soft_wrap=True)
    wrong = 0
    with told_compiling(Console(stderr=True)):
        for suite in suites:
            wrong += _told(suite, orders, console)
    raise typer.Exit(EXIT_WRONG if wrong else 0)


def load(definitions: list[str], mapping: str) -> tuple[list[Suite], Mapping]:
    """The journeys, their stories and the mapping. Raises BadDefinition with the problems of all files."""
    problems: list[Problem] = []
    suites: list[Suite] = []
    for definition in dict.fromkeys(definitions):
        loaded: list[tuple[Journey, ...]] = []
        try:
            loaded.append(load_journeys([definition]))
        except BadDefinition as error:
            problems += error.problems
        try:
            stories = load_stories(definition)
            suites += [Suite(journeys[0], stories) for journeys in loaded]
        except BadDefinition as error:
            problems += error.problems
    try:
        orders = canonical(load_mapping(mapping))
    except BadDefinition as error:
        raise BadDefinition([*problems, *error.problems]) from None
    if problems:
        raise BadDefinition(problems)
    return suites, orders


def _chosen(suites: list[Suite], only: str) -> list[Suite]:
    chosen = [
        Suite(suite.journey, Stories(suite.stories.file, stories))
        for suite in suites
        if (stories := tuple(one for one in suite.stories.stories if only.lower() in one.title.lower()))
    ]
    if not chosen:
        titles = [story.title for suite in suites for story in suite.stories.stories]
        hint = "; ".join(titles[:TITLES_SHOWN]) + ("; ..." if len(titles) > TITLES_SHOWN else "")
        raise BadSettings([f"--only: no story has {only!r} in its title\n  hint: there are: {hint}"])
    return chosen


def _told(suite: Suite, mapping: Mapping, console: Console) -> int:
    """Tells the stories of a journey; how many do not come out as they say."""
    name = f"{suite.journey.name} version {suite.journey.version}"
    console.print(Text(f"{name}: {suite.stories.file}", "bold"))
    wrong = 0
    for story in suite.stories.stories:
        looks = [look for look in tell(story, suite.journey, mapping) if not look.is_right]
        wrong += bool(looks)
        _print(suite.stories.file, story, looks, console)
    stories = len(suite.stories.stories)
    console.print(
        f"{name}: " + (f"{wrong} of {stories} stories went wrong" if wrong else f"{_many(stories)} as told")
    )
    return wrong


def _print(file: str, story: Story, wrong: list[Look], console: Console) -> None:
    console.print(Text.assemble(("✗", "bold red") if wrong else ("✓", "green"), f" {story.title}"))
    width = console.width - len(INDENT) if console.is_terminal else None
    for look in wrong:
        console.print(f"  {file}:{look.expect.line}: expect {look.expect.table}", markup=False)
        for line in beside(look.expect.columns, look.expect.rows, look.found, width):
            console.print(Text(INDENT) + line)


def _many(stories: int) -> str:
    return "1 story" if stories == 1 else f"{stories} stories"
