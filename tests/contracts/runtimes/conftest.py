"""Every interpreter of this machine, each with its proxy."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from contracts.runtimes.docker_guest import DockerRoom
from contracts.runtimes.guest import Guest
from sandbox.docker_kit import DockerKit
from sandbox.guests import short_folder

from upwhisk.runtimes.discover import discover
from upwhisk.runtimes.installation import RuntimeInstallation
from upwhisk.runtimes.manifest import Manifest

INTERPRETERS = discover()
INSTALLATIONS = Manifest.load(None, INTERPRETERS).installations()
PYTHONS = sorted(kind for kind, found in INSTALLATIONS.items() if found.family == "python")
NODES = sorted(kind for kind, found in INSTALLATIONS.items() if found.family == "nodejs")

StartGuest = Callable[..., Guest]


@pytest.fixture(params=PYTHONS)
def python(request: pytest.FixtureRequest) -> RuntimeInstallation:
    return INSTALLATIONS[request.param]


@pytest.fixture(params=NODES)
def node(request: pytest.FixtureRequest) -> RuntimeInstallation:
    return INSTALLATIONS[request.param]


@pytest.fixture
def native() -> RuntimeInstallation:
    return INSTALLATIONS["blackbox"]


@pytest.fixture(params=sorted(INSTALLATIONS))
def any_kind(request: pytest.FixtureRequest) -> RuntimeInstallation:
    return INSTALLATIONS[request.param]


@pytest.fixture
def start(tmp_path: Path) -> Iterator[StartGuest]:
    """Starts a guest that ends with the test: `start(installation, VARIABLE="text")`."""
    with ExitStack() as stack:
        count = 0

        def start_one(installation: RuntimeInstallation, **environment: str) -> Guest:
            nonlocal count
            count += 1
            scratch = tmp_path / f"g{count}"
            scratch.mkdir()
            return stack.enter_context(Guest(installation, scratch, environment))

        yield start_one


@pytest.fixture(scope="module")
def docker_room(docker_host: str, docker_runtimes: dict[str, RuntimeInstallation]) -> Iterator[DockerRoom]:
    with short_folder() as folder:
        kit = DockerKit(folder, docker_host)
        with DockerRoom(kit) as room:
            yield room
        kit.check()


@pytest.fixture
def py(python: RuntimeInstallation, start: StartGuest) -> Guest:
    return start(python)


@pytest.fixture
def js(node: RuntimeInstallation, start: StartGuest) -> Guest:
    return start(node)


@pytest.fixture
def sh(native: RuntimeInstallation, start: StartGuest) -> Guest:
    return start(native)
