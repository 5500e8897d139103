"""Fixtures of Docker containers for every suite."""

from __future__ import annotations

import pytest
from sandbox.docker_guests import build_probe


@pytest.fixture(scope="session")
def docker_with_probe(docker_host: str) -> str:
    """Address of an engine that has the image of the probe runtime."""
    build_probe(docker_host)
    return docker_host
