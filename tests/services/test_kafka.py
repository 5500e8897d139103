"""The Kafka that tests get."""

from __future__ import annotations

import asyncio
import ssl
import time
from typing import Any

import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.errors import KafkaConnectionError
from services.fixtures import started
from services.kafka import Kafka, Users
from services.processes import naming

pytestmark = pytest.mark.external_service
USERS = Users(plain={"bob": "bobs-own"}, scram={"alice": "alices-own"})
WITHIN_S = 20.0
RESTART_S = 15.0
"""Without the short broker session it is 12 s on an idle machine and more on a busy one."""


async def sent(bootstrap: str, topic: str, value: bytes, **login: Any) -> None:
    producer = AIOKafkaProducer(bootstrap_servers=bootstrap, enable_idempotence=True, **login)
    async with asyncio.timeout(WITHIN_S):
        try:
            await producer.start()
            await producer.send_and_wait(topic, value)
        finally:
            await producer.stop()  # also where it was refused


async def received(bootstrap: str, topic: str, count: int, **login: Any) -> list[bytes]:
    async with asyncio.timeout(WITHIN_S), AIOKafkaConsumer(bootstrap_servers=bootstrap, **login) as consumer:
        partition = TopicPartition(topic, 0)
        consumer.assign([partition])
        await consumer.seek_to_beginning(partition)
        return [(await consumer.getone()).value for _ in range(count)]


async def test_what_was_acknowledged_is_there_after_kill_9() -> None:
    with started(Kafka) as kafka:
        folder, bootstrap, first = kafka.folder, kafka.bootstrap, kafka.pid
        await sent(bootstrap, "t", b"before")
        kafka.kill()
        began = time.monotonic()
        await asyncio.to_thread(kafka.restart)
        await sent(bootstrap, "t", b"after")
        assert time.monotonic() - began < RESTART_S
        assert kafka.bootstrap == bootstrap
        assert kafka.pid != first
        assert await received(bootstrap, "t", 2) == [b"before", b"after"]
    assert naming(folder) == []
    assert not folder.exists()


def login(mechanism: str, user: str, password: str, kafka: Kafka) -> dict[str, Any]:
    return {
        "security_protocol": "SASL_SSL",
        "sasl_mechanism": mechanism,
        "sasl_plain_username": user,
        "sasl_plain_password": password,
        "ssl_context": ssl.create_default_context(cafile=str(kafka.ca)),
    }


async def test_users_log_in_over_tls_and_nobody_else() -> None:
    with started(lambda: Kafka(USERS)) as kafka:
        plain = login("PLAIN", "bob", USERS.plain["bob"], kafka)
        scram = login("SCRAM-SHA-256", "alice", USERS.scram["alice"], kafka)
        await sent(kafka.secure, "t", b"by bob", **plain)
        assert await received(kafka.secure, "t", 1, **scram) == [b"by bob"]
        with pytest.raises(KafkaConnectionError):
            await sent(kafka.secure, "t", b"by another", **login("PLAIN", "bob", "guessed", kafka))
        with pytest.raises(KafkaConnectionError):
            await sent(kafka.secure, "t", b"without TLS")
        untrusting = {**scram, "ssl_context": ssl.create_default_context()}
        with pytest.raises(KafkaConnectionError):
            await sent(kafka.secure, "t", b"to a stranger", **untrusting)
