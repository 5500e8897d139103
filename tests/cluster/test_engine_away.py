"""A node of a fleet whose Docker engine is killed: it is seen, and what it cannot run runs on the others."""

from __future__ import annotations

import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest
from cluster.calls import at, node_of, upwhisk
from cluster.test_fleet import nodes, wait_for
from fleet.fleet import Fleet
from fleet.member import Member
from sandbox.docker_guests import PREFIX, build_runtimes
from services.docker_engine import DockerEngine
from services.fixtures import started

pytestmark = [pytest.mark.sandbox, pytest.mark.external_service, pytest.mark.timeout(240)]

NAME = "n-docker"
CALLS = 24
"""So many that some go to each node."""
CODE = "def main(args):\n    return {'n': args['n']}\n"


@pytest.fixture
def engine() -> Iterator[DockerEngine]:
    with started(lambda: DockerEngine(apart=True)) as engine:
        build_runtimes(engine.host)
        yield engine


@pytest.fixture
def with_docker(fleet: Fleet, engine: DockerEngine) -> Iterator[Member]:
    """One more node, with the engine's containers."""
    environment = {
        "UPWHISK_PLUGINS_CONTAINERS": "docker",
        "UPWHISK_DOCKER_HOST": engine.host,
        "UPWHISK_DOCKER_IMAGE_PREFIX": PREFIX,
        "UPWHISK_POOL_PREWARM": "false",  # what is there would serve without an engine
        "UPWHISK_NODE_API_URL": fleet.urls[0],
    }
    member = Member(NAME, ["invoker", "--config", str(fleet.config), "--name", NAME], environment, fleet.folder)
    member.launch()
    try:
        member.wait_ready()
        wait_for(lambda: nodes(fleet).get(NAME) == "up", "it is a member")
        yield member
    finally:
        if not engine.running:
            engine.restart()
        member.stop()
        wait_for(lambda: NAME not in nodes(fleet), "it has left")


def test_what_gets_no_container_there_runs_elsewhere(fleet: Fleet, engine: DockerEngine, with_docker: Member) -> None:
    client = at(fleet, 0)
    for n in range(CALLS):
        client.deploy(f"cold-{n}", CODE)
    engine.kill()
    with ThreadPoolExecutor(CALLS) as pool:
        answers = list(pool.map(lambda n: client.invoke(f"cold-{n}", {"n": n}), range(CALLS)))
    assert [(status, answer["response"]["result"]) for status, answer in answers] == [(200, {"n": n}) for n in range(CALLS)]
    assert "activation.no_container" in with_docker.log_file.read_text(), "some were sent there"
    assert NAME not in {node_of(answer) for _, answer in answers}
    wait_for(lambda: nodes(fleet)[NAME] == "unhealthy", "it is seen")
    shown = json.loads(upwhisk(fleet, "node", "show", NAME, "--output", "json"))
    assert "container engine does not answer" in shown["reason"]
    health = json.dumps(client.call("GET", "//health")[1])
    assert f"{NAME} unhealthy: the container engine does not answer" in health
    engine.restart()
    wait_for(lambda: nodes(fleet)[NAME] == "up", "it takes work again")
