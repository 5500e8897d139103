"""What tests of Docker containers share: images with the probe runtime, a factory, and an engine without leftovers."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from urllib.parse import quote

from sandbox.guests import INSTANCES, KIND, PROBE, probe
from services.asking import ask_socket

from upwhisk.common.ids import new_instance_id
from upwhisk.common.settings import DockerSettings
from upwhisk.invoker.containers.bounds import GuestBounds, NetworkSettings
from upwhisk.invoker.containers.docker.endpoint import endpoint_of
from upwhisk.invoker.containers.docker.factory import DockerFactory
from upwhisk.invoker.containers.docker.image_build import ImageBuilder, ImagePlan, open_client
from upwhisk.invoker.containers.docker.parent_group import remove_parent
from upwhisk.runtimes.discover import discover
from upwhisk.runtimes.installation import RuntimeInstallation
from upwhisk.runtimes.manifest import Manifest

PREFIX = "upwhisk-test"
PATIENCE_S = 20.0


def settings_of(host: str, **changes: object) -> DockerSettings:
    return DockerSettings(**{"host": host, "image_prefix": PREFIX, "pull_timeout_s": 5.0, **changes})  # type: ignore[arg-type]


def build_probe(host: str, settings: DockerSettings | None = None) -> None:
    """A second time it is there already."""
    plan = ImagePlan(KIND, "python", PROBE.name, probe(), proxies=PROBE.parent)
    with ImageBuilder(endpoint_of(settings or settings_of(host), {}), PREFIX) as builder:
        builder.build(plan)


def build_named(host: str) -> str:
    """An image that an action could name, on that of the probe; cached by the engine. Returns its name."""
    name = f"{PREFIX}/named:latest"
    client = open_client(endpoint_of(settings_of(host), {}), PATIENCE_S * 6)
    try:
        folder = str(PROBE.parent.parent / "image")
        lines = client.build(path=folder, tag=name, rm=True, forcerm=True, decode=True)
        failed = [line["error"] for line in lines if "error" in line]
    finally:
        client.close()
    assert failed == []
    return name


def build_runtimes(host: str) -> dict[str, RuntimeInstallation]:
    """The images of one kind of each family; kind -> what this host would run it with."""
    found = Manifest.load(None, discover()).installations()
    chosen: dict[str, RuntimeInstallation] = {}
    for kind, one in found.items():  # the default Python comes first
        if one.family not in {other.family for other in chosen.values()}:
            chosen[kind] = one
    with ImageBuilder(endpoint_of(settings_of(host), {}), PREFIX) as builder:
        for kind, one in chosen.items():
            builder.build(ImagePlan(kind, one.family, one.proxy.name, one))
    return chosen


def make_docker_factory(
    run_dir: Path,
    settings: DockerSettings,
    bounds: GuestBounds | None = None,
    network: NetworkSettings | None = None,
) -> DockerFactory:
    instance = new_instance_id()
    INSTANCES.add(instance)
    return DockerFactory(
        instance, run_dir, settings, bounds or GuestBounds(), network or NetworkSettings(outbound=False)
    )


def containers_of(host: str, run_dir: Path) -> list[dict[str, object]]:
    """All that the engine has from this run folder, running or not."""
    filters = quote(json.dumps({"label": [f"upwhisk.run-dir={run_dir}"]}))
    status, found = ask_socket(_socket(host), "GET", f"/containers/json?all=1&filters={filters}", PATIENCE_S)
    assert status == 200
    return list(found or ())


def remove_containers(host: str, run_dir: Path) -> None:
    """Those of this run folder; whatever the engine answers, the caller looks again."""
    for container in containers_of(host, run_dir):
        ask_socket(_socket(host), "DELETE", f"/containers/{container['Id']}?force=1&v=1", PATIENCE_S)


def remove_groups(instances: Iterable[str]) -> None:
    """What a factory left because its engine was late."""
    for instance in instances:
        remove_parent(instance)


def _socket(host: str) -> Path:
    return Path(host.removeprefix("unix://"))
