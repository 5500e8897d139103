"""Fleets in one process live in virtual time."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from fakes.virtual_time import VirtualTimeLoop


def pytest_asyncio_loop_factories(config: Any, item: Any) -> Mapping[str, Callable[[], Any]]:
    return {"virtual": VirtualTimeLoop}
