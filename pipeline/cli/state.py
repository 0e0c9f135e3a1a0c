"""`pathline state backup` and `restore`: a copy of what a deployment knows, and back."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from pipeline.runtime.backup import backup, restore
from pipeline.runtime.deployment import DeploymentRefused, existing_state
from pipeline.settings import load_settings

state = typer.Typer(
    help="Copy the state of a stopped deployment into a file, and back.",
    no_args_is_help=True,
    rich_markup_mode=None,
)


@state.command("backup")
def backup_(
    to: Annotated[Path, typer.Option("--to", help="The file to write, a tar file")],
    folder: Annotated[Path | None, typer.Option("--state", help="Which state folder")] = None,
) -> None:
    """Copy a state folder into one file, while nothing runs.

    The copy holds the state, not the rows: keep one of the database beside it, from the same time or later.
    """
    opened = existing_state(load_settings({"state": folder}).state)
    try:
        with opened.locked(seconds=0.5):
            size = backup(opened, to)
    except DeploymentRefused as error:
        if "in use" not in str(error):
            raise
        raise DeploymentRefused(
            f"{opened.path} is in use by a run\n"
            "  hint: stop it first: a copy of what changes meanwhile is no state"
        ) from None
    Console().print(f"copied {opened.path} to {to}: {size / 1e6:,.1f} MB", highlight=False, soft_wrap=True)


@state.command("restore")
def restore_(
    source: Annotated[Path, typer.Option("--from", help="A file that `pathline state backup` wrote")],
    folder: Annotated[Path | None, typer.Option("--state", help="The folder to make")] = None,
) -> None:
    """Make a state folder from a copy; the folder must not be there, or be empty.

    The same command as before then goes on from the copy. It needs a database with the rows up to then at
    least; what was written since is written again, the same.

    Restore only what you trust. Checksums tell damage, not intent: who can change a copy can change its
    checksums. bytewax, which this builds upon, unpickles what its store holds, and a pickle can be a program.
    A copy in which a snapshot is anything but plain bytes is refused.
    """
    path = load_settings({"state": folder}).state
    deployment = restore(path, source)
    Console().print(f"{path} holds deployment {deployment} again", highlight=False, soft_wrap=True)
