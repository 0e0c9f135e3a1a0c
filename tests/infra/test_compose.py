"""compose.yaml as data: what is open, where secrets are, and whether everything that it names is there."""

from __future__ import annotations

import re
from typing import Any

import pytest

from pipeline.settings import Settings
from tests.infra.manifests import COMPOSE, pinned, read, setting_of

TOP = read(COMPOSE)
SERVICES: dict[str, dict[str, Any]] = TOP["services"]

each = pytest.mark.parametrize("name", SERVICES)


def test_all_that_is_needed_is_there() -> None:
    assert {"kafka", "clickhouse", "pipeline", "prometheus", "grafana"} <= SERVICES.keys()


@each
def test_images_are_pinned(name: str) -> None:
    assert pinned(SERVICES[name]["image"])


@each
def test_ports_are_open_to_this_machine_alone(name: str) -> None:
    for port in SERVICES[name].get("ports", ()):
        assert port.startswith("127.0.0.1:"), port


@each
def test_secrets_are_files_and_nowhere_else(name: str) -> None:
    service = SERVICES[name]
    for variable, value in service.get("environment", {}).items():
        assert not re.search(r"://[^/]*:[^/]*@", value), variable
        if re.search(r"PASSWORD|SECRET|TOKEN|CLICKHOUSE_FILE", variable):
            assert variable.endswith("_FILE"), variable
            assert value.removeprefix("/run/secrets/") in service["secrets"], variable
    for secret in service.get("secrets", ()):
        assert TOP["secrets"][secret]["file"].startswith("./secrets/")
    assert "/secrets/" in (COMPOSE.parent / ".gitignore").read_text().splitlines()


@each
def test_volumes_and_neighbours_that_a_service_names_exist(name: str) -> None:
    service = SERVICES[name]
    assert set(service.get("depends_on", ())) <= SERVICES.keys()
    for volume in service.get("volumes", ()):
        source = volume.split(":")[0]
        if not source.startswith("."):
            assert source in TOP["volumes"], source
            continue
        assert (COMPOSE.parent / source).exists(), source
        assert volume.endswith(":ro"), volume


def test_the_pipeline_may_write_its_volume_and_tmp_only() -> None:
    pipeline = SERVICES["pipeline"]
    assert pipeline["read_only"] is True
    assert pipeline["cap_drop"] == ["ALL"]
    assert "no-new-privileges:true" in pipeline["security_opt"]
    assert [volume.split(":")[1] for volume in pipeline["volumes"]] == ["/var/lib/pathline"]
    assert [place.split(":")[0] for place in pipeline["tmpfs"]] == ["/tmp"]
    build = pipeline["build"]
    assert (COMPOSE.parent / build["context"] / build["dockerfile"]).exists()


def test_what_the_pipeline_is_told_are_settings() -> None:
    for variable in SERVICES["pipeline"]["environment"]:
        assert variable.startswith("PATHLINE_")
        assert setting_of(variable) in set(Settings.model_fields), variable


def test_a_stop_has_the_time_that_it_may_take() -> None:
    from pipeline.runtime.processes import STOP_SECONDS

    assert int(SERVICES["pipeline"]["stop_grace_period"].removesuffix("s")) > STOP_SECONDS


def test_prometheus_asks_the_pipeline_where_it_listens() -> None:
    (job,) = read(COMPOSE.parent / "prometheus.yml")["scrape_configs"]
    (target,) = job["static_configs"][0]["targets"]
    assert target == "pipeline:9464"
    assert SERVICES["pipeline"]["environment"]["PATHLINE_LISTEN"] == "0.0.0.0:9464"
