"""The manifests for Kubernetes: their commands are commands that there are, and their parts fit together."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click
import pytest
import yaml

from skew_ext.settings import SkewSettings
from tests.commandlines import parsed

PROJECT = Path(__file__).resolve().parents[2]
FILES = sorted((PROJECT / "deploy" / "kubernetes").glob("*.yaml"))
OBJECTS = [one for file in FILES for one in yaml.safe_load_all(file.read_text())]
STORE = yaml.safe_load((PROJECT / "feature_repo" / "feature_store.production.yaml").read_text())
HEAD = (PROJECT / "feature_repo" / "feature_store.production.yaml").read_text().partition("project:")[0]
WORKDIR = "/srv/flights"
GIBIBYTE = 2**30


def pods() -> Iterator[tuple[str, dict[str, Any]]]:
    """Give each pod's specification, by the name of what makes it."""
    for one in OBJECTS:
        spec = one.get("spec", {})
        template = spec.get("jobTemplate", {}).get("spec", spec).get("template")
        if template:
            yield one["metadata"]["name"], template["spec"]


PODS = dict(pods())


def containers(pod: dict[str, Any]) -> list[dict[str, Any]]:
    return [*pod.get("initContainers", ()), *pod["containers"]]


EVERY = {one["name"]: one for pod in PODS.values() for one in containers(pod)}


def words(container: dict[str, Any], folder: Path) -> list[str]:
    """Give a container's command line; one for a shell as the shell has it, with the dates put in."""
    command = container["command"]
    if command[0] != "sh":
        return list(command)
    _, options, script = command
    assert options == "-euc"
    dated = re.sub(r"\$\(date [^)]*\)", "2026-03-01T00:00Z", script).replace("/reports", str(folder))
    return shlex.split(dated.removeprefix("exec "))


@pytest.mark.parametrize("name", EVERY)
def test_a_command_is_one_that_there_is(name: str, tmp_path: Path) -> None:
    container = EVERY[name]
    path, options = parsed(words(container, tmp_path))
    assert path in ("skew ship", "skew watch", "skew audit", "feast serve")
    assert container["workingDir"] == WORKDIR
    port = options.get("metrics_port") or options.get("port")
    assert [one["containerPort"] for one in container.get("ports", ())] == ([port] if port else [])
    if port:
        assert (options.get("metrics_address") or options.get("host")) == "0.0.0.0"  # noqa: S104 - of a pod


def test_a_command_that_there_is_not_is_found_out() -> None:
    """The test above can fail."""
    for wrong in (["skew", "wach"], ["skew", "watch", "--evry", "60s"], ["feast", "serve", "--workers", "one"]):
        with pytest.raises(click.UsageError):
            parsed(wrong)


def test_server_and_shipper_share_the_spool_and_the_shipper_outlives_the_server() -> None:
    pod = PODS["flights-serving"]
    (sidecar,), (server,) = pod["initContainers"], pod["containers"]
    spool = f"{WORKDIR}/{STORE['skew']['spool']}"
    # The folder above: a volume's own root can be written by others, and a spool refuses to be such a folder.
    above = spool.rpartition("/")[0]
    assert sidecar["volumeMounts"] == server["volumeMounts"] == [{"name": "spool", "mountPath": above}]
    assert sidecar["restartPolicy"] == "Always"
    assert pod["terminationGracePeriodSeconds"] > 30
    (volume,) = pod["volumes"]
    size = volume["emptyDir"]["sizeLimit"]
    assert size.endswith("Gi")
    assert int(size.removesuffix("Gi")) * GIBIBYTE > SkewSettings.model_fields["spool_max_bytes"].default
    assert "medium" not in volume["emptyDir"]  # in memory it would count against the containers' limits


def test_each_process_has_the_least_rights_that_it_needs() -> None:
    """The server none to the log; the others the user of their role, under the variable that the settings name."""
    variable = STORE["skew"]["destination"]["dsn_env"]
    given = {
        name: {one["name"]: one["valueFrom"]["secretKeyRef"]["key"] for one in container.get("env", ())}
        for name, container in EVERY.items()
    }
    assert given == {
        "ship": {variable: "writer"},
        "serve": {},
        "watch": {variable: "watcher", "SKEW_WATCH_NOTIFY": "addresses"},
        "audit": {variable: "auditor"},
    }
    for container in EVERY.values():
        assert container["envFrom"] == [{"secretRef": {"name": "flights-stores"}}]
    page = (PROJECT / "docs" / "kubernetes.md").read_text()
    secrets = {"flights-stores", "flights-log", "flights-alerts"}
    assert secrets == set(re.findall(r"create secret generic (\S+)", page))
    assert "FLIGHTS_REDIS" in HEAD


def test_what_is_mounted_is_there_and_what_selects_finds() -> None:
    claims = {one["metadata"]["name"] for one in OBJECTS if one["kind"] == "PersistentVolumeClaim"}
    for pod in PODS.values():
        volumes = {one["name"]: one for one in pod.get("volumes", ())}
        mounted = {one["name"] for container in containers(pod) for one in container.get("volumeMounts", ())}
        assert mounted == set(volumes)
        for volume in volumes.values():
            assert "emptyDir" in volume or volume["persistentVolumeClaim"]["claimName"] in claims
        assert pod["securityContext"]["runAsNonRoot"] is True
    for one in OBJECTS:
        if one["kind"] == "Deployment":
            spec = one["spec"]
            assert spec["selector"]["matchLabels"] == spec["template"]["metadata"]["labels"]
    (service,) = [one for one in OBJECTS if one["kind"] == "Service"]
    (serving,) = [
        one for one in OBJECTS if one["metadata"]["name"] == "flights-serving" and one["kind"] == "Deployment"
    ]
    assert service["spec"]["selector"] == serving["spec"]["template"]["metadata"]["labels"]
    assert service["spec"]["ports"][0]["targetPort"] in {one["name"] for one in EVERY["serve"]["ports"]}


def test_there_is_one_watch_and_an_audit_is_not_tried_again() -> None:
    (watch,) = [one for one in OBJECTS if one["metadata"]["name"] == "flights-watch"]
    assert (watch["spec"]["replicas"], watch["spec"]["strategy"]) == (1, {"type": "Recreate"})
    (audit,) = [one for one in OBJECTS if one["kind"] == "CronJob"]
    assert audit["spec"]["jobTemplate"]["spec"]["backoffLimit"] == 0
    assert audit["spec"]["concurrencyPolicy"] == "Forbid"
    assert PODS["flights-audit"]["restartPolicy"] == "Never"


def test_metrics_are_scraped_where_they_are_served() -> None:
    for one in OBJECTS:
        notes = one["spec"].get("template", {}).get("metadata", {}).get("annotations", {})
        if one["kind"] == "Deployment":
            of_pod = containers(one["spec"]["template"]["spec"])
            ports = {str(port["containerPort"]) for container in of_pod for port in container["ports"]}
            assert notes["prometheus.io/port"] in ports
