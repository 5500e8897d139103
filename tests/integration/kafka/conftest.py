"""Buses on a real broker, each on topics of its own."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import count

import pytest
from services.fixtures import started
from services.kafka import Kafka, Users

from upwhisk.backends.bus.kafka import KafkaBus
from upwhisk.backends.bus.kafka.deadlines import Deadlines
from upwhisk.common.settings import KafkaSettings

_numbers = count()
USERS = Users(plain={"bob": "bobs-own"}, scram={"alice": "alices-own"})

MakeBus = Callable[..., KafkaBus]


@pytest.fixture
def prefix() -> str:
    return f"test{next(_numbers)}-"


@pytest.fixture
def make_bus(kafka: Kafka, prefix: str) -> MakeBus:
    """A bus that is not started, on the broker that all tests share."""

    def make(deadlines: Deadlines | None = None, **more: object) -> KafkaBus:
        settings = KafkaSettings(bootstrap=(kafka.bootstrap,), prefix=prefix, **more)  # type: ignore[arg-type]
        return KafkaBus(settings, deadlines)

    return make


@pytest.fixture(scope="module")
def own_broker() -> Iterator[Kafka]:
    """One that may be killed and stopped."""
    with started(Kafka) as broker:
        yield broker


@pytest.fixture(scope="module")
def secure_broker() -> Iterator[Kafka]:
    """One with users, that speaks TLS to them."""
    with started(lambda: Kafka(USERS)) as broker:
        yield broker
