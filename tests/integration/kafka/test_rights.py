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

from upwhisk.backends.bus.kafka import KafkaBus
from upwhisk.backends.bus.kafka.link import Link
from upwhisk.common.errors import Unavailable
from upwhisk.common.settings import KafkaSettings

pytestmark = pytest.mark.external_service

TOPIC, GROUP = 2, 3
READ, WRITE, CREATE, DELETE, DESCRIBE = 3, 4, 5, 6, 8
_PREFIXED, _ALLOW = 4, 3
RIGHTS = [(TOPIC, each) for each in (READ, WRITE, CREATE, DELETE, DESCRIBE)] + [
    (GROUP, READ),
    (GROUP, DELETE),
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


async def allow(broker: Kafka, prefix: str, rights: list[tuple[int, int]]) -> None:
    host, port = broker.bootstrap.split(":")
    link = Link(host, int(port), {}, answer_s=10)
    await link.connect(10)
    for resource, operation in rights:
        answer = await link.ask(
            CreateAclsRequest(resource, prefix, _PREFIXED, "User:alice", "*", operation, _ALLOW)
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


async def test_the_rights_of_the_documentation_are_enough(
    guarded: Kafka, prefix: str, tmp_path: Path
) -> None:
    await allow(guarded, prefix, RIGHTS)
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


@pytest.mark.parametrize("lacking", [(TOPIC, CREATE), (TOPIC, WRITE)])
async def test_sending_without_a_right_fails_at_once_and_says_so(
    guarded: Kafka, prefix: str, tmp_path: Path, lacking: tuple[int, int]
) -> None:
    await allow(guarded, prefix, [right for right in RIGHTS if right != lacking])
    async with bus_of_alice(guarded, prefix, tmp_path) as bus:
        with pytest.raises(Unavailable, match=r"Kafka (refuses|does not create).*(?i:authoriz)"):
            await bus.send("t", message())
        assert bus.problem() is None, "who is refused one topic is not cut off from the others"


@pytest.mark.parametrize("lacking", [(TOPIC, READ), (GROUP, READ)])
async def test_reading_without_a_right_does_not_begin(
    guarded: Kafka, prefix: str, tmp_path: Path, lacking: tuple[int, int]
) -> None:
    await allow(guarded, prefix, [right for right in RIGHTS if right != lacking])
    async with bus_of_alice(guarded, prefix, tmp_path) as bus:
        await bus.send("t", message())
        with pytest.raises(Unavailable, match=r"Kafka refuses.*(?i:authoriz)"):
            await subscribed(bus, Consumer(), credits=1)
