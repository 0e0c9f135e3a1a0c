"""What of a lock a run needs: `runtime_lock.py pyproject.toml requirements.lock`, where that is installed.

There is one lock, and it holds what only tests need as well. A second one would have to be kept in step.
"""

from __future__ import annotations

import re
import sys
import tomllib
from importlib.metadata import requires
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name


def needed(project: str) -> set[str]:
    """The names of all that a project depends on, on this platform, by what is installed."""
    found: set[str] = set()
    asked = [_asked(Requirement(text)) for text in tomllib.loads(project)["project"]["dependencies"]]
    seen: set[tuple[str, frozenset[str]]] = set()
    while asked:
        package, extras = asked.pop()
        if (package, extras) in seen:
            continue
        seen.add((package, extras))
        found.add(package)
        for text in requires(package) or ():
            requirement = Requirement(text)
            wanted = requirement.marker is None or any(
                requirement.marker.evaluate({"extra": extra}) for extra in (extras or {""})
            )
            if wanted:
                asked.append(_asked(requirement))
    return found


def _asked(requirement: Requirement) -> tuple[str, frozenset[str]]:
    return canonicalize_name(requirement.name), frozenset(requirement.extras)


def part_of(lock: str, names: set[str]) -> str:
    """The entries of these names, as they stand."""
    entries = re.split(r"^(?=\S)", lock, flags=re.MULTILINE)
    named = ((re.match(r"[A-Za-z0-9._-]+", entry), entry) for entry in entries)
    return "".join(entry for name, entry in named if name and canonicalize_name(name[0]) in names)


if __name__ == "__main__":
    _, project, lock = (Path(argument) for argument in sys.argv)
    sys.stdout.write(part_of(lock.read_text(), needed(project.read_text())))
