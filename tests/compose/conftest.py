"""What the suites of `make test-compose` share: one engine and its images, the stack of each module."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from compose.images import Images
from services.docker_engine import DockerEngine
from services.fixtures import started


@pytest.fixture(scope="session")
def images() -> Iterator[tuple[str, Images]]:
    """An engine of this namespace's, with all images built; its address."""
    with started(DockerEngine) as engine:
        made = Images(engine.host)
        made.build()
        yield engine.host, made
