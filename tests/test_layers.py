"""Who may know whom: the contracts in pyproject.toml, and a core without a clock or an environment."""

from __future__ import annotations

import ast
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest
from importlinter.cli import lint_imports

ROOT = Path(__file__).parents[1]
PURE = sorted([*(ROOT / "pipeline/core").rglob("*.py"), *(ROOT / "pipeline/simulate").rglob("*.py")])

CALLED = {"breakpoint", "input", "open", "print"}
READ = {
    "now", "today", "utcnow",
    "monotonic", "perf_counter", "process_time", "sleep", "thread_time", "time", "time_ns",
    "environ", "getenv",
}  # fmt: skip
"""Attributes of a module or class that only those read who look at the clock or the machine."""


def test_imports_keep_to_the_contracts(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(ROOT)
    code = lint_imports(no_cache=True)
    assert code == 0, capsys.readouterr().out


def test_every_module_has_its_layer() -> None:
    config = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]
    layers = next(contract["layers"] for contract in config["contracts"] if contract["type"] == "layers")
    named = {name.strip() for layer in layers for name in layer.split("|")}
    found = {
        f"pipeline.{path.stem}"
        for path in (ROOT / "pipeline").iterdir()
        if path.stem != "__init__" and (path.suffix == ".py" or (path / "__init__.py").exists())
    }
    assert found | {"schemas", "sinks"} == named


def impure(tree: ast.AST) -> Iterator[tuple[int, str]]:
    for node in ast.walk(tree):
        match node:
            case ast.Call(func=ast.Name(id=name)) if name in CALLED:
                yield node.lineno, name
            case ast.Attribute(value=ast.Name(id="datetime" | "date" | "os" | "time" as owner), attr=name):
                if name in READ:
                    yield node.lineno, f"{owner}.{name}"


@pytest.mark.parametrize("path", PURE, ids=lambda path: str(path.relative_to(ROOT)))
def test_what_is_pure_looks_at_no_clock_and_no_environment_and_prints_nothing(path: Path) -> None:
    assert not list(impure(ast.parse(path.read_text(), str(path))))


@pytest.mark.parametrize(
    "line", ["print(1)", "datetime.now(UTC)", "x = os.environ['A']", "time.monotonic()", "open('f')"]
)
def test_the_check_sees_what_it_should(line: str) -> None:
    assert list(impure(ast.parse(line)))
