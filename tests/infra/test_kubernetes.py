"""The manifests as data: whether names, labels, ports and volumes fit together, and what a pod may do."""

from __future__ import annotations

import shutil
import subprocess
import warnings
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

from pipeline.runtime.processes import STOP_SECONDS
from pipeline.settings import Settings
from tests.infra.manifests import BASE, CLUSTER, base, pinned, read, setting_of

NAME = {"app.kubernetes.io/name": "pathline"}
EXCHANGE, METRICS = 2101, 9464


@pytest.fixture
def pod() -> Any:
    return base("statefulset")["spec"]["template"]["spec"]


@pytest.fixture
def container(pod: Any) -> Any:
    (container,) = pod["containers"]
    return container


@pytest.mark.parametrize("folder", [BASE, CLUSTER], ids=lambda folder: folder.name)
def test_every_file_is_used_and_every_used_file_is_there(folder: Path) -> None:
    kustomization = read(folder / "kustomization.yaml")
    patches = [patch["path"] for patch in kustomization.get("patches", ()) if "path" in patch]
    named = {name for name in [*kustomization["resources"], *patches] if name.endswith(".yaml")}
    assert named == {path.name for path in folder.glob("*.yaml")} - {"kustomization.yaml"}


def test_the_set_has_the_service_that_names_its_pods() -> None:
    service, set_ = base("service"), base("statefulset")
    assert set_["spec"]["serviceName"] == service["metadata"]["name"]
    assert service["spec"]["clusterIP"] == "None"
    assert service["spec"]["publishNotReadyAddresses"] is True, "else no process would find another"


def test_labels_are_given_and_asked_for_alike() -> None:
    (labels,) = read(BASE / "kustomization.yaml")["labels"]
    assert labels["pairs"] == NAME
    assert labels["includeSelectors"], "services and sets"
    assert labels["includeTemplates"], "pods"
    assert base("poddisruptionbudget")["spec"]["selector"]["matchLabels"] == NAME
    policy = base("networkpolicy")["spec"]
    assert policy["podSelector"]["matchLabels"] == NAME


def test_ports_are_called_alike_everywhere(container: Any) -> None:
    ports = {port["name"]: port["containerPort"] for port in container["ports"]}
    assert ports == {"metrics": METRICS}
    for probe, path in (("startup", "/healthz"), ("liveness", "/healthz"), ("readiness", "/readyz")):
        assert container[f"{probe}Probe"]["httpGet"] == {"path": path, "port": "metrics"}
    assert {port["targetPort"] for port in base("service")["spec"]["ports"]} == {"metrics"}
    assert f"PATHLINE_LISTEN=0.0.0.0:{METRICS}" in (BASE / "pathline.env").read_text().splitlines()


def test_only_processes_of_the_run_reach_the_unauthenticated_port() -> None:
    spec = base("networkpolicy")["spec"]
    assert sorted(spec["policyTypes"]) == ["Egress", "Ingress"]
    for rule in spec["ingress"]:
        assert rule["from"], "never everybody"
        if EXCHANGE in {port["port"] for port in rule["ports"]}:
            assert rule["from"] == [{"podSelector": {"matchLabels": NAME}}]
            assert len(rule["ports"]) == 1
    opened = [port["port"] for rule in spec["ingress"] for port in rule["ports"]]
    assert sorted(opened) == [EXCHANGE, METRICS]
    assert all(rule["to"] and rule["ports"] for rule in spec["egress"])


def test_a_pod_may_do_nothing_that_it_need_not(pod: Any, container: Any) -> None:
    assert pod["securityContext"]["runAsNonRoot"] is True
    assert pod["securityContext"]["runAsUser"] == 10001
    assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    assert pod["automountServiceAccountToken"] is False
    assert container["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }
    enforced = base("namespace")["metadata"]["labels"]["pod-security.kubernetes.io/enforce"]
    assert enforced == "restricted"


def test_every_volume_is_mounted_and_every_mount_has_one(pod: Any, container: Any) -> None:
    claims = base("statefulset")["spec"]["volumeClaimTemplates"]
    given = {volume["name"] for volume in pod["volumes"]} | {claim["metadata"]["name"] for claim in claims}
    mounts = {mount["name"]: mount["mountPath"] for mount in container["volumeMounts"]}
    assert mounts.keys() == given
    assert mounts["state"] == "/var/lib/pathline"
    assert mounts["tmp"] == "/tmp"


def test_secrets_come_by_reference(pod: Any, container: Any) -> None:
    (secret,) = [volume["secret"]["secretName"] for volume in pod["volumes"] if "secret" in volume]
    assert secret == "pathline"
    mount = next(each for each in container["volumeMounts"] if each["name"] == "secrets")
    assert mount["readOnly"] is True
    (file,) = [each["value"] for each in container["env"] if each["name"].endswith("_FILE")]
    assert Path(file).parent == Path(mount["mountPath"])
    kinds = {read(path).get("kind") for path in [*BASE.glob("*.yaml"), *CLUSTER.glob("*.yaml")]}
    assert "Secret" not in kinds


def test_resources_are_bounded_and_a_stop_has_its_time(pod: Any, container: Any) -> None:
    resources = container["resources"]
    assert resources["requests"]["memory"] == resources["limits"]["memory"]
    assert "cpu" in resources["requests"]
    assert pod["terminationGracePeriodSeconds"] > STOP_SECONDS


def test_what_a_pod_is_told_are_settings(container: Any) -> None:
    lines = (BASE / "pathline.env").read_text().split()
    patched = read(CLUSTER / "processes.yaml")["spec"]["template"]["spec"]["containers"][0]["env"]
    literals = read(CLUSTER / "kustomization.yaml")["configMapGenerator"][0]["literals"]
    told = [line.partition("=")[0] for line in [*lines, *literals]]
    for variable in [*told, *(each["name"] for each in [*container["env"], *patched])]:
        assert variable.startswith("PATHLINE_")
        assert setting_of(variable) in set(Settings.model_fields), variable


def test_images_are_pinned() -> None:
    (image,) = read(BASE / "kustomization.yaml")["images"]
    assert pinned(f"{image['newName']}:{image['newTag']}")
    assert image["name"] == "pathline"


def test_a_cluster_has_an_address_for_each_replica() -> None:
    set_ = read(CLUSTER / "processes.yaml")
    (literal,) = read(CLUSTER / "kustomization.yaml")["configMapGenerator"][0]["literals"]
    addresses = literal.removeprefix("PATHLINE_ADDRESSES=").split(",")
    replicas = set_["spec"]["replicas"]
    assert addresses == [f"pathline-{number}.pathline:{EXCHANGE}" for number in range(replicas)]
    assert set_["spec"]["updateStrategy"] == {"type": "OnDelete"}
    claim = read(CLUSTER / "state.yaml")
    assert claim["spec"]["accessModes"] == ["ReadWriteMany"], "they share the state folder"
    (volume,) = set_["spec"]["template"]["spec"]["volumes"]
    assert volume["persistentVolumeClaim"]["claimName"] == claim["metadata"]["name"]


@pytest.mark.parametrize(("folder", "pods"), [(BASE, 1), (CLUSTER, 3)], ids=lambda value: str(value)[-7:])
def test_kustomize_makes_of_it_what_is_meant(folder: Path, pods: int) -> None:
    if shutil.which("kubectl") is None:
        words = "NOT TESTED: what kustomize makes of infra/kubernetes; there is no kubectl"
        warnings.warn(words, stacklevel=1)
        pytest.skip(words)
    made = subprocess.run(["kubectl", "kustomize", str(folder)], check=True, capture_output=True, text=True)
    found = {each["kind"]: each for each in YAML(typ="safe").load_all(made.stdout)}
    set_ = found["StatefulSet"]["spec"]
    assert set_["replicas"] == pods
    assert set_["selector"]["matchLabels"] == set_["template"]["metadata"]["labels"] == NAME
    assert found["Service"]["spec"]["selector"] == NAME
    pod = set_["template"]["spec"]
    (container,) = pod["containers"]
    variables = [each["name"] for each in container["env"]]
    assert ("PATHLINE_WORKERS" in variables) == (pods == 1), "a pod is one process, or has several"
    assert ("PATHLINE_PROCESS_ID" in variables) == (pods > 1)
    assert ("volumeClaimTemplates" in set_) == (pods == 1)
    given = {volume["name"] for volume in [*pod["volumes"]]} | ({"state"} if pods == 1 else set())
    assert given == {mount["name"] for mount in container["volumeMounts"]}
    assert container["envFrom"][0]["configMapRef"]["name"] == found["ConfigMap"]["metadata"]["name"]
    ports = {port["name"] for port in container["ports"]}
    assert {port["targetPort"] for port in found["Service"]["spec"]["ports"]} == ports
