"""A broker with ACLs: the rights that docs/services.md names are enough, and their lack is a clear error."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from aiokafka.protocol.admin import CreateAclsRequest
from fakes.consumer import Consumer, subscribed
from fakes.samples import message
from fakes.until import until
from integration.kafka.conftest import USERS
from services.fixtures import started
from services.kafka import Kafka

from upwhisk.backends.bus.kafka import KafkaBus, accounts
from upwhisk.backends.bus.kafka.link import Link
from upwhisk.common.errors import Unavailable
from upwhisk.common.settings import KafkaSettings
from upwhisk.common.spi.roles import Role

pytestmark = pytest.mark.external_service

TOPIC, GROUP = 2, 3
READ, WRITE, CREATE = 3, 4, 5
_PREFIXED, _ALLOW = 4, 3
Right = tuple[int, str, int]
"""Resource, beginning of its name, operation."""


def rights(prefix: str, role: Role, *, but: tuple[int, int] | None = None) -> list[Right]:
    """What `upwhisk init` gives to the users of a role. `but`: a resource and an operation that is left out."""
    return [
        (rule.resource, rule.name, operation)
        for rule in accounts.rules(prefix, role)
        for operation in rule.operations
        if (rule.resource, operation) != but
    ]


class GuardedKafka(Kafka):
    """Users may do only what they were allowed; the listener without login may do everything."""

    def _configure(self, folder: Path) -> None:
        super()._configure(folder)
        with (folder / "server.properties").open("a") as properties:
            properties.write(
                "authorizer.class.name=org.apache.kafka.metadata.authorizer.StandardAuthorizer\n"
            )
            properties.write("super.users=User:ANONYMOUS\n")


@pytest.fixture(scope="module")
def guarded() -> Iterator[Kafka]:
    with started(lambda: GuardedKafka(USERS)) as broker:
        yield broker


async def allow(broker: Kafka, allowed: list[Right]) -> None:
    host, port = broker.bootstrap.split(":")
    link = Link(host, int(port), {}, answer_s=10)
    await link.connect(10)
    for resource, name, operation in allowed:
        answer = await link.ask(
            CreateAclsRequest(resource, name, _PREFIXED, "User:alice", "*", operation, _ALLOW)
        )
        assert answer.creation_responses[0][0] == 0
    link.abort()


def bus_of_alice(broker: Kafka, prefix: str, tmp_path: Path) -> KafkaBus:
    password = tmp_path / "password"
    password.write_text(USERS.scram["alice"])
    return KafkaBus(
        KafkaSettings(
            bootstrap=(broker.secure,),
            prefix=prefix,
            security="sasl_ssl",
            user="alice",
            password_file=str(password),
            ca_file=str(broker.ca),
        )
    )


async def test_the_rights_of_a_controller_are_enough(guarded: Kafka, prefix: str, tmp_path: Path) -> None:
    await allow(guarded, rights(prefix, "controller"))
    consumer, sent = Consumer(finishes=True), [message(), message()]
    async with bus_of_alice(guarded, prefix, tmp_path) as bus:
        subscription = await subscribed(bus, consumer, credits=2)
        await bus.send("t", sent[0])
        await until(lambda: len(consumer.deliveries) == 1)
        await subscription.aclose()
        await bus.send("t", sent[1])
    async with bus_of_alice(guarded, prefix, tmp_path) as bus:
        await subscribed(bus, consumer, credits=2)
        await until(lambda: consumer.messages == sent)
        assert await bus.topics("") == ("t",)
        await bus.remove_topic("t")
        assert await bus.topics("") == ()


async def test_the_rights_of_a_node_are_enough_and_no_more(
    guarded: Kafka, prefix: str, tmp_path: Path
) -> None:
    await allow(guarded, rights(prefix, "node"))
    consumer, work = Consumer(finishes=True), message()
    settings = KafkaSettings(bootstrap=(guarded.bootstrap,), prefix=prefix)
    async with KafkaBus(settings) as controller, bus_of_alice(guarded, prefix, tmp_path) as node:
        await subscribed(node, consumer, credits=2, topic="invoker-1")
        await controller.send("invoker-1", work)
        await until(lambda: consumer.messages == [work])
        await controller.send("completed-a", message())
        await node.send("completed-a", message())
        for forbidden in ("invoker-1", "invoker-2", "other"):
            with pytest.raises(Unavailable, match="Kafka refuses"):
                await node.send(forbidden, message())
        with pytest.raises(Unavailable, match="Kafka refuses"):
            await subscribed(node, Consumer(), credits=1, topic="completed-a")
        with pytest.raises(Unavailable):
            await node.remove_topic("invoker-1")
        assert node.problem() is None


@pytest.mark.parametrize("lacking", [(TOPIC, CREATE), (TOPIC, WRITE)])
async def test_sending_without_a_right_fails_at_once_and_says_so(
    guarded: Kafka, prefix: str, tmp_path: Path, lacking: tuple[int, int]
) -> None:
    await allow(guarded, rights(prefix, "controller", but=lacking))
    async with bus_of_alice(guarded, prefix, tmp_path) as bus:
        with pytest.raises(Unavailable, match=r"Kafka (refuses|does not create).*(?i:authoriz)"):
            await bus.send("t", message())
        assert bus.problem() is None, "who is refused one topic is not cut off from the others"


async def test_a_try_says_why_topics_cannot_be_made(guarded: Kafka, prefix: str, tmp_path: Path) -> None:
    await allow(guarded, rights(prefix, "controller", but=(TOPIC, CREATE)))
    async with bus_of_alice(guarded, prefix, tmp_path) as bus:
        with pytest.raises(Unavailable, match=r"Kafka does not create topic.*(?i:authoriz)"):
            await bus.try_topics()
    settings = KafkaSettings(bootstrap=(guarded.bootstrap,), prefix=prefix, replication=3)
    async with KafkaBus(settings) as bus:
        with pytest.raises(Unavailable, match=r"setting kafka\.replication is 3"):
            await bus.try_topics()


@pytest.mark.parametrize("lacking", [(TOPIC, READ), (GROUP, READ)])
async def test_reading_without_a_right_does_not_begin(
    guarded: Kafka, prefix: str, tmp_path: Path, lacking: tuple[int, int]
) -> None:
    await allow(guarded, rights(prefix, "controller", but=lacking))
    async with bus_of_alice(guarded, prefix, tmp_path) as bus:
        await bus.send("t", message())
        with pytest.raises(Unavailable, match=r"Kafka refuses.*(?i:authoriz)"):
            await subscribed(bus, Consumer(), credits=1)
