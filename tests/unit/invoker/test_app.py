"""A node as a whole, on fakes: what it tells the registry of its containers."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace

import msgspec
import pytest
import structlog
from fakes.containers import HeldFactory

from upwhisk.backends.bus.memory import MemoryBus
from upwhisk.backends.logs.inline import InlineLogStore
from upwhisk.backends.nodes.memory import MemoryRegistry
from upwhisk.backends.store.memory import MemoryStore
from upwhisk.common.clock import SystemClock
from upwhisk.common.settings import NodeSettings, RetentionSettings, Settings
from upwhisk.invoker.app import InvokerNode, NodeParts

AWAY = "the container engine does not answer"


class SickFactory(HeldFactory):
    def problem(self) -> str | None:
        return AWAY


@asynccontextmanager
async def node(*, alone: bool) -> AsyncIterator[MemoryRegistry]:
    """`alone`: in one process with the rest."""
    store, bus, registry = MemoryStore(retention=RetentionSettings(max_age_s=0)), MemoryBus(), MemoryRegistry()
    parts = NodeParts(store, bus, registry, InlineLogStore(), SickFactory(), SystemClock(), {})
    if alone:
        parts = replace(parts, journal=store.journal)
    settings = msgspec.structs.replace(Settings(), node=NodeSettings(name="n", memory_mb=512))
    with structlog.testing.capture_logs():
        async with store, bus, registry, InvokerNode(parts, settings, version="1"):
            yield registry


@pytest.mark.parametrize(("alone", "state", "reason"), [(False, "unhealthy", AWAY), (True, "up", "")])
async def test_a_node_without_its_engine_is_unhealthy_where_there_may_be_others(
    alone: bool, state: str, reason: str
) -> None:
    async with node(alone=alone) as registry:
        (report,) = await registry.nodes()
        assert (report.state.value, report.reason) == (state, reason)
