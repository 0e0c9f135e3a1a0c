"""Stories beside a journey: what happens, as a table, and what must come of it, as tables.

README.md tells how they are written. A file is read as a whole, or refused with all that is wrong with it.
"""

from __future__ import annotations

from importlib import resources
from pathlib import Path
from typing import Final

from schemas.documents import NAME, BadDefinition, Document
from schemas.story_lines import Reader
from schemas.story_steps import Stories

FILE_BYTES_MAX: Final = 1_000_000
SUFFIX: Final = ".stories.txt"


def load_stories(definition: str) -> Stories:
    """The stories beside a journey: those that come with a name, or `shop.stories.txt` of `./shop.yaml`.

    Raises BadDefinition with everything that is wrong with them.
    """
    document, text = _read(definition)
    stories = Reader(document).read(text) if text is not None else ()
    if text is not None and not stories:
        document.problem(1, "there is no story in it", "a story begins with its title: # A cart is abandoned")
    if document.problems:
        raise BadDefinition(document.in_order)
    return Stories(document.file, stories)


def shipped_stories() -> list[str]:
    """The names of the journeys that stories come with."""
    entries = (resources.files("schemas") / "definitions" / "stories").iterdir()
    return sorted(entry.name[:-4] for entry in entries if entry.name.endswith(".txt"))


def _read(definition: str) -> tuple[Document, str | None]:
    if NAME.fullmatch(definition):
        document = Document(f"schemas/definitions/stories/{definition}.txt")
        entry = resources.files("schemas") / "definitions" / "stories" / f"{definition}.txt"
        if not entry.is_file():
            there = ", ".join(shipped_stories())
            document.problem(
                1, f"no stories of '{definition}' come with Pathline", f"there are those of {there}"
            )
            return document, None
        return document, _text(document, entry.read_bytes())
    path = Path(definition)
    path = path.with_name(path.stem + SUFFIX)
    document = Document(str(path))
    try:
        return document, _text(document, path.read_bytes())
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        document.problem(1, f"cannot read these stories: {reason}", f"those of shop.yaml are in shop{SUFFIX}")
    return document, None


def _text(document: Document, raw: bytes) -> str | None:
    if len(raw) > FILE_BYTES_MAX:
        document.problem(
            1, f"the file is larger than {FILE_BYTES_MAX:,} bytes", "give journeys files of their own"
        )
        return None
    try:
        return raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        document.problem(raw.count(b"\n", 0, error.start) + 1, "not UTF-8", "save the file as UTF-8")
        return None
