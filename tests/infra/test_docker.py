"""The Dockerfile as text: no engine runs here. What a linter would say, and what only we know."""

from __future__ import annotations

import re
import subprocess
import sys

from tests.infra.manifests import DOCKERFILE, ROOT, pinned

TEXT = DOCKERFILE.read_text()
INSTRUCTIONS = [
    (word, rest)
    for word, _, rest in (
        line.partition(" ")
        for line in re.sub(r"\\\n\s*", " ", TEXT).splitlines()
        if line and not line.startswith("#")
    )
]


def last_stage() -> list[tuple[str, str]]:
    start = max(at for at, (word, _) in enumerate(INSTRUCTIONS) if word == "FROM")
    return INSTRUCTIONS[start:]


def all_of(word: str) -> list[str]:
    return [rest for each, rest in INSTRUCTIONS if each == word]


def test_there_are_two_stages_on_one_pinned_python() -> None:
    images = [rest.split(" AS ")[0] for rest in all_of("FROM")]
    assert len(images) == 2
    assert len(set(images)) == 1
    assert pinned(images[0])
    assert images[0].startswith("python:3.11."), "what bytewax has wheels for"


def test_it_does_not_run_as_root() -> None:
    stage = last_stage()
    words = [word for word, _ in stage]
    assert dict(stage)["USER"] == "10001:10001", "a number, so that Kubernetes can see that it is not root"
    assert words.index("USER") > max(at for at, word in enumerate(words) if word in ("RUN", "COPY"))


def test_nothing_is_installed_without_a_hash() -> None:
    installs = [part for rest in all_of("RUN") for part in rest.split("&&") if "pip install" in part]
    assert installs
    for install in installs:
        assert "--require-hashes" in install or "--no-deps /wheels/" in install, install
    assert not re.search(r"\bcurl\b|\bwget\b|^ADD\b|\bapt-get\b", TEXT, re.MULTILINE)


def test_no_secret_is_baked_in() -> None:
    for rest in [*all_of("ENV"), *all_of("ARG"), *all_of("LABEL")]:
        assert not re.search(r"password|secret|token|://", rest, re.IGNORECASE), rest


def test_what_is_copied_is_there_and_not_ignored() -> None:
    ignored = (DOCKERFILE.parent / "Dockerfile.dockerignore").read_text().splitlines()
    assert "*" in ignored, "everything that is not named stays out"
    sources = [
        source for rest in all_of("COPY") if not rest.startswith("--from") for source in rest.split()[:-1]
    ]
    assert {"pipeline", "schemas", "sinks"} <= set(sources)
    for source in sources:
        assert (ROOT / source).exists(), source
        assert f"!{source}" in ignored, source


def test_it_can_live_on_a_root_that_is_read_only() -> None:
    (env,) = [rest for word, rest in last_stage() if word == "ENV"]
    written = {path for name, path in re.findall(r"(\w+)=(/\S+)", env) if name != "PATH"}
    assert written
    assert all(path.startswith("/var/lib/pathline/") for path in written)
    assert dict(last_stage())["VOLUME"] == '["/var/lib/pathline"]'
    assert "PYTHONDONTWRITEBYTECODE=1" in env


def test_health_is_asked_where_it_is_told_and_a_stop_is_a_sigterm() -> None:
    stage = dict(last_stage())
    assert f"127.0.0.1:{stage['EXPOSE']}/healthz" in stage["HEALTHCHECK"]
    assert stage["STOPSIGNAL"] == "SIGTERM"
    assert stage["ENTRYPOINT"] == '["pathline"]', "a shell in between would keep the signal"


def test_a_run_needs_its_part_of_the_lock_and_nothing_of_the_tests() -> None:
    command = [sys.executable, "infra/docker/runtime_lock.py", "pyproject.toml", "requirements.lock"]
    part = subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True).stdout
    names = set(re.findall(r"^([a-z0-9._-]+)==", part, re.MULTILINE))
    assert {"bytewax", "chdb", "pyarrow", "numba", "llvmlite", "typer", "pydantic-core"} <= names
    assert not {"pytest", "hypothesis", "mypy", "ruff", "import-linter", "uv-build"} & names
    entries = re.split(r"^(?=\S)", part, flags=re.MULTILINE)[1:]
    assert len(entries) >= len(names)
    assert all("--hash=sha256:" in entry for entry in entries)
