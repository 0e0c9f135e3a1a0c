"""Where compiled kernels are kept, and a word to the user while they are being made."""

from __future__ import annotations

import hashlib
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.resources import files
from pathlib import Path
from typing import Any, Final

from rich.console import Console
from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

VARIABLE: Final = "NUMBA_CACHE_DIR"


def keep_compiled() -> None:
    """Names the folder of compiled kernels, for this process and those that it starts.

    To be called before numba is imported. The folder belongs to exactly this code: a kernel holds code of
    other modules than its own, and numba looks only at the age of its own.
    """
    if VARIABLE in os.environ:
        return
    name = f"kernels-{_digest()}"
    places = (
        Path(os.environ.get("XDG_CACHE_HOME") or Path("~/.cache").expanduser()) / "pathline" / name,
        Path(tempfile.gettempdir()) / f"pathline-{os.getuid()}-{name}",
    )
    for place in places:
        if _is_ours(place):
            os.environ[VARIABLE] = str(place)
            return
    os.environ[VARIABLE] = tempfile.mkdtemp(prefix="pathline-kernels-")


def _digest() -> str:
    digest = hashlib.sha256()
    for file in sorted(Path(str(files("pipeline.core"))).rglob("*.py")):
        digest.update(file.read_bytes())
    return digest.hexdigest()[:12]


def _is_ours(place: Path) -> bool:
    """Whether nobody else can write there: what lies in it is run."""
    try:
        place.mkdir(mode=0o700, parents=True, exist_ok=True)
        found = place.stat()
    except OSError:
        return False
    return found.st_uid == os.getuid() and not found.st_mode & 0o022 and os.access(place, os.W_OK)


@contextmanager
def told(console: Console) -> Iterator[None]:
    """Says that kernels are compiled inside, and since when; silent where that was done before."""
    from numba.core import event  # not before keep_compiled

    columns = (SpinnerColumn(), TextColumn("{task.description}"), TimeElapsedColumn())
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as progress:
        task = progress.add_task("compiling once, about half a minute", visible=False)
        said = False

        class Told(event.Listener):
            def on_start(self, _: Any) -> None:
                nonlocal said
                if not said:
                    said = True
                    progress.update(task, visible=True)
                    if not console.is_terminal:
                        console.print("compiling once, about half a minute")

            def on_end(self, _: Any) -> None:
                pass

        with event.install_listener("numba:compile", Told()):
            yield
