"""The platform with guests in Docker containers, from the outside."""

from __future__ import annotations

import socket
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from fakes.running import Running
from sandbox.docker_guests import PREFIX, containers_of

from upwhisk.invoker.containers.namespaces import run_in_network
from upwhisk.runtimes.installation import RuntimeInstallation

pytestmark = [pytest.mark.sandbox, pytest.mark.external_service, pytest.mark.timeout(240)]
Platforms = Callable[..., Running]
MISSING = "127.0.0.1:9/nobody/has:this"
RUN_DIR = Path("/run/upwhisk")
CODE = {
    "python": "def main(a):\n    print('said')\n    return {'n': a['n'] + 1}",
    "nodejs": "function main(a) { console.log('said'); return {n: a.n + 1}; }",
    "native": "#!/bin/sh\necho said\necho '{\"n\": 8}'\n",
}
ASKS_THE_API = """
import http.client, os
def main(a):
    host = os.environ["__OW_API_HOST"].removeprefix("http://")
    connection = http.client.HTTPConnection(host, timeout=5)
    connection.request("GET", "/api/v1")
    return {"status": connection.getresponse().status}
"""


@pytest.fixture(scope="module")
def standalone(
    docker_host: str,
    docker_runtimes: dict[str, RuntimeInstallation],
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Running]:
    """It must not have what it had not asked for: only containers by their images."""
    environment = {"UPWHISK_DOCKER_HOST": docker_host, "UPWHISK_DOCKER_IMAGE_PREFIX": PREFIX}
    running = Running(
        tmp_path_factory.mktemp("docker") / "data", environment, ("--containers", "docker")
    ).start()
    yield running
    assert running.stop() == 0
    deadline = time.monotonic() + 20
    while containers_of(docker_host, RUN_DIR) and time.monotonic() < deadline:
        time.sleep(0.1)
    assert containers_of(docker_host, RUN_DIR) == []


def test_one_kind_of_each_family_runs_cold_then_warm(
    standalone: Running, docker_runtimes: dict[str, RuntimeInstallation]
) -> None:
    for kind, one in docker_runtimes.items():
        image = {"image": "openwhisk/dockerskeleton"} if one.family == "native" else {}
        standalone.deploy(f"one-{one.family}", CODE[one.family], kind, exec=image)
        for start in ("cold", "warm"):
            status, answer = standalone.invoke(f"one-{one.family}", {"n": 7})
            assert (status, answer["response"]["result"]) == (200, {"n": 8}), (kind, answer)
            record = standalone.record(answer["activationId"])
            assert [line[31:] for line in record["logs"]] == ["stdout: said"]
            ours = next(a["value"] for a in record["annotations"] if a["key"] == "upwhisk")
            assert ours["start"] in ({"cold", "prewarmed"} if start == "cold" else {"warm"})


def test_the_api_is_in_reach_of_guests(standalone: Running) -> None:
    standalone.deploy("asks", ASKS_THE_API, annotations=[{"key": "network", "value": "api"}])
    assert standalone.invoke("asks", None, "blocking=true&result=true") == (200, {"status": 200})


def test_an_image_of_ones_own_runs(
    standalone: Running, docker_runtimes: dict[str, RuntimeInstallation]
) -> None:
    """Our own images serve port 8080 like OpenWhisk's, when an action names them."""
    kind = next(kind for kind, one in docker_runtimes.items() if one.family == "python")
    standalone.deploy("mine", CODE["python"], "blackbox", exec={"image": f"{PREFIX}/{kind}"})
    for n in (1, 2):
        status, answer = standalone.invoke("mine", {"n": n})
        assert (status, answer["response"]["result"]) == (200, {"n": n + 1})
        record = standalone.record(answer["activationId"])
        assert [line[31:] for line in record["logs"]] == ["stdout: said"]


def test_an_image_that_nobody_has_is_told_to_its_author(standalone: Running) -> None:
    standalone.deploy("none", CODE["python"], "blackbox", exec={"image": MISSING})
    status, answer = standalone.invoke("none")
    assert status == 502
    assert answer["response"]["status"] == "action developer error"
    assert answer["response"]["result"] == {"error": f"Failed to pull container image '{MISSING}'."}


@pytest.fixture
def silent_registry(docker_host: str) -> Iterator[socket.socket]:
    """Takes connections of the engine, whose network namespace is its own, and says nothing."""
    pid_file = Path(docker_host.removeprefix("unix://")).with_name("docker.pid")
    if not pid_file.exists():
        pytest.skip("the engine is not ours")
    with open(f"/proc/{pid_file.read_text().strip()}/ns/net") as namespace:
        listener = run_in_network(namespace.fileno(), lambda: socket.create_server(("127.0.0.1", 0)))
    with listener:
        listener.settimeout(20)
        yield listener


def test_a_registry_that_hangs_holds_up_no_other_start(standalone: Running, silent_registry: socket.socket) -> None:
    """More images of it than the node starts at once, and a start that no prewarmed container serves."""
    with silent_registry as registry:
        images = [f"127.0.0.1:{registry.getsockname()[1]}/x{n}" for n in range(6)]
        for n, image in enumerate(images):
            standalone.deploy(f"hangs-{n}", CODE["python"], "blackbox", exec={"image": image})
            assert standalone.invoke(f"hangs-{n}", None, "")[0] == 202
        with registry.accept()[0]:
            standalone.deploy("apart", CODE["python"], annotations=[{"key": "network", "value": "none"}])
            began = time.monotonic()
            status, answer = standalone.invoke("apart", {"n": 7})
            assert (status, answer["response"]["result"]) == (200, {"n": 8})
            assert time.monotonic() - began < 8
            ours = next(a["value"] for a in standalone.record(answer["activationId"])["annotations"] if a["key"] == "upwhisk")
            assert ours["start"] == "cold"


def test_images_come_from_registries_that_are_allowed(
    docker_host: str, docker_runtimes: dict[str, RuntimeInstallation], platforms: Platforms
) -> None:
    variables = {
        "UPWHISK_DOCKER_HOST": docker_host,
        "UPWHISK_DOCKER_IMAGE_PREFIX": PREFIX,
        "UPWHISK_DOCKER_REGISTRIES": "ghcr.io/acme,127.0.0.1:9",
    }
    platform = platforms("data", variables, "--containers", "docker").start()
    for image, expected in ((MISSING, 200), ("me/mine", 400)):
        body = {"exec": {"kind": "blackbox", "image": image, "code": CODE["python"]}}
        status, answer = platform.call("PUT", "/_/actions/mine?overwrite=true", body)
        assert status == expected
        if status == 400:
            assert answer["error"].endswith("images may come from: ghcr.io/acme, 127.0.0.1:9")
    assert platform.stop() == 0


def test_kinds_are_those_with_images(
    standalone: Running, docker_runtimes: dict[str, RuntimeInstallation]
) -> None:
    shown = standalone.call("GET", "//")[1]["runtimes"]
    listed = {one["kind"] for kinds in shown.values() for one in kinds}
    assert listed == set(docker_runtimes) - {"blackbox"}
    for kind in {"python:3.10", "python:3.11", "python:3.12", "python:3.13"} - listed:
        body = {"exec": {"kind": kind, "code": CODE["python"]}}
        status, answer = standalone.call("PUT", "/_/actions/other", body)
        assert status == 400
        assert f"{PREFIX}/{kind}" in answer["error"]
        assert "make images" in answer["error"]


def test_processes_run_no_images(platforms: Platforms) -> None:
    platform = platforms("data", {}, "--containers", "process").start()
    body = {"exec": {"kind": "blackbox", "image": "me/mine", "code": CODE["python"]}}
    status, answer = platform.call("PUT", "/_/actions/mine", body)
    assert status == 400
    assert "needs --containers docker" in answer["error"]
    assert platform.stop() == 0
