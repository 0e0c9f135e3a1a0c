"""The broker's jars: fetched once with Maven, as infra/kafka/pom.xml says, into a cache folder."""

from __future__ import annotations

import fcntl
import os
import re
import shutil
import subprocess
import tempfile
from pathlib import Path
from typing import Final

POM: Final = Path(__file__).parents[2] / "infra" / "kafka" / "pom.xml"
FETCH_SECONDS_MAX: Final = 600


class NoBroker(Exception):  # noqa: N818 - the word of the line that is shown
    """Why this machine cannot start a broker, in one line."""


def version() -> str:
    """The broker's version: it stands in the pom alone."""
    found = re.search(r"<kafka\.version>([^<]+)</kafka\.version>", POM.read_text())
    assert found, f"{POM} names no kafka.version"
    return found[1]


def folder() -> Path:
    """Where the jars of this version are kept, outside the repository."""
    cache = os.environ.get("XDG_CACHE_HOME") or str(Path.home() / ".cache")
    return Path(cache) / "pathline-kafka" / version()


def classpath() -> str:
    """The class path of a broker. Fetches the jars where they are missing, whole or not at all: several
    test processes may ask at the same time, and one of them may be killed meanwhile. Raises NoBroker.
    """
    if shutil.which("java") is None:
        raise NoBroker("there is no java")
    jars = folder()
    if not jars.is_dir():
        jars.parent.mkdir(parents=True, exist_ok=True)
        with (jars.parent / f"{jars.name}.lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            if not jars.is_dir():
                _fetch(jars)
    return f"{jars}/*"


def _fetch(jars: Path) -> None:
    if shutil.which("mvn") is None:
        raise NoBroker("there is no mvn to fetch the broker's jars")
    with tempfile.TemporaryDirectory(dir=jars.parent, prefix=f"{jars.name}.part-") as part:
        command = [
            "mvn", "-q", "-B", "-f", str(POM), "dependency:copy-dependencies",
            f"-DoutputDirectory={part}/jars", "-DincludeScope=runtime",
        ]  # fmt: skip
        try:
            done = subprocess.run(command, capture_output=True, text=True, timeout=FETCH_SECONDS_MAX)
        except subprocess.TimeoutExpired:
            raise NoBroker(f"mvn did not fetch the jars within {FETCH_SECONDS_MAX} s") from None
        if done.returncode:
            said = [line for line in (done.stdout + done.stderr).splitlines() if "ERROR" in line]
            raise NoBroker(f"mvn could not fetch the jars: {said[0] if said else 'it gave no reason'}")
        Path(part, "jars").rename(jars)
