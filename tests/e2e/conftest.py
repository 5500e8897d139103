from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from fakes.running import Running


@pytest.fixture
def platforms(tmp_path: Path) -> Iterator[Callable[..., Running]]:
    """Makes platforms on folders below `tmp_path`; what a failed test leaves running is killed."""
    made: list[Running] = []

    def make(name: str = "data", environment: dict[str, str] | None = None, *arguments: str) -> Running:
        made.append(Running(tmp_path / name, environment or {}, arguments))
        return made[-1]

    yield make
    for one in made:
        if one.process is not None and one.process.poll() is None:
            one.kill()
