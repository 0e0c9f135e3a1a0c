"""What infra/ says, as Python: the files that other tests look into."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ruamel.yaml import YAML

ROOT = Path(__file__).parents[2]
INFRA = ROOT / "infra"
DOCKERFILE = INFRA / "docker" / "Dockerfile"
COMPOSE = INFRA / "compose" / "compose.yaml"
BASE = INFRA / "kubernetes" / "base"
CLUSTER = INFRA / "kubernetes" / "cluster"


def read(path: Path) -> Any:
    """A file with one YAML document. Keys that are there twice are an error."""
    return YAML(typ="safe").load(path.read_text())


def base(name: str) -> Any:
    return read(BASE / f"{name}.yaml")


def pinned(image: str) -> bool:
    """Whether an image has a tag that means one version."""
    _, _, tag = image.rpartition(":")
    return tag != image and any(letter.isdigit() for letter in tag) and "/" not in tag


def setting_of(variable: str) -> str:
    """The setting that PATHLINE_... names."""
    return variable.removeprefix("PATHLINE_").removesuffix("_FILE").lower()
