"""Fixtures of Docker containers for every suite."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from sandbox.docker_guests import build_named, build_probe, build_runtimes
from sandbox.docker_kit import DockerKit
from sandbox.guests import short_folder

from upwhisk.runtimes.installation import RuntimeInstallation


@pytest.fixture(scope="session")
def docker_with_probe(docker_host: str) -> str:
    """Address of an engine that has the image of the probe runtime."""
    build_probe(docker_host)
    return docker_host


@pytest.fixture
def docker_kit(docker_with_probe: str) -> Iterator[DockerKit]:
    with short_folder() as folder:
        kit = DockerKit(folder, docker_with_probe)
        yield kit
        kit.check()


@pytest.fixture(scope="session")
def named_image(docker_with_probe: str) -> str:
    """The name of an image that actions could name."""
    return build_named(docker_with_probe)


@pytest.fixture(scope="session")
def docker_runtimes(docker_host: str) -> dict[str, RuntimeInstallation]:
    """Kinds of which the engine has an image, one of each family."""
    return build_runtimes(docker_host)
