"""Every bus that there is; a new one is one line. Those that share a broker get a prefix of their own for each test."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from itertools import count

import pytest
from fakes.logbus import Broker, LogBus

from upwhisk.backends.bus.kafka import KafkaBus
from upwhisk.backends.bus.memory import MemoryBus
from upwhisk.common.settings import KafkaSettings
from upwhisk.common.spi.bus import MessageBus

_numbers = count()


def _memory(request: pytest.FixtureRequest) -> MessageBus:
    return MemoryBus()


def _log(request: pytest.FixtureRequest) -> MessageBus:
    return LogBus(Broker())


def _kafka(request: pytest.FixtureRequest) -> MessageBus:
    broker = request.getfixturevalue("kafka")
    return KafkaBus(KafkaSettings(bootstrap=(broker.bootstrap,), prefix=f"contract{next(_numbers)}-"))


BUSES: dict[str, Callable[[pytest.FixtureRequest], MessageBus]] = {"memory": _memory, "log": _log, "kafka": _kafka}


@pytest.fixture(params=["memory", "log", pytest.param("kafka", marks=pytest.mark.external_service)])
async def bus(request: pytest.FixtureRequest) -> AsyncIterator[MessageBus]:
    async with BUSES[request.param](request) as started:
        yield started
        if started.problem() is None:
            for topic in await started.topics(""):
                await started.remove_topic(topic)
