"""The bus itself: names, and the parts that do the work."""

from __future__ import annotations

import asyncio

from upwhisk.backends.bus.kafka import accounts, names
from upwhisk.backends.bus.kafka.backbone import Backbone
from upwhisk.backends.bus.kafka.cluster import Cluster
from upwhisk.backends.bus.kafka.deadlines import Deadlines
from upwhisk.backends.bus.kafka.offsets import Offsets
from upwhisk.backends.bus.kafka.producer import Producer
from upwhisk.backends.bus.kafka.subscription import KafkaSubscription
from upwhisk.backends.bus.kafka.topics import Topics
from upwhisk.common.errors import ConfigurationError, InternalError, Unavailable
from upwhisk.common.messages import Message
from upwhisk.common.settings import KafkaSettings
from upwhisk.common.spi.bus import BusAbilities, Deliver, MessageBus, Subscription
from upwhisk.common.spi.roles import Role

_TRIED = "tried-by-init"


class KafkaBus(MessageBus):
    """Topic `t` of ours is Kafka's `<prefix>t`, its consumption the group of the same name."""

    abilities = BusAbilities(durable=True)

    def __init__(self, settings: KafkaSettings, deadlines: Deadlines | None = None) -> None:
        self._settings = settings
        self._deadlines = deadlines or Deadlines()
        self._names: dict[str, str] = {}
        self._cluster = Cluster(settings, self._deadlines)
        topics = Topics(self._cluster, settings, self._deadlines)
        self._producer = Producer(self._cluster, topics, self._deadlines)
        self._backbone = Backbone(
            self._cluster, topics, Offsets(self._cluster, self._deadlines), self._deadlines
        )
        self._is_open = False

    @staticmethod
    async def grant(settings: KafkaSettings, account: KafkaSettings, role: Role) -> str:
        """Have the access rules for the user of `account`; what was done. Repeatable."""
        return await accounts.grant(settings, account, role)

    async def start(self) -> None:
        """Raises `ConfigurationError` that names the setting at fault, within a deadline."""
        if not names.is_prefix(self._settings.prefix):
            text = f"'{self._settings.prefix}' is not made of at most 100 letters, digits, '.', '-' and '_'"
            raise ConfigurationError("kafka.prefix", text)
        await self._cluster.start()
        await self._backbone.offsets.start()
        await self._producer.start()
        self._is_open = True

    async def aclose(self) -> None:
        self._is_open = False
        for subscription in list(self._backbone.subscribers.values()):
            await subscription.aclose()
        await self._producer.aclose()
        await self._backbone.offsets.aclose()
        await self._cluster.aclose()

    def send(self, topic: str, message: Message) -> asyncio.Future[None]:
        try:
            name = self._names.get(topic) or self._name(topic)
        except InternalError as error:
            refused: asyncio.Future[None] = asyncio.get_running_loop().create_future()
            refused.set_exception(error)
            return refused
        return self._producer.send(name, message)

    def subscribe(
        self, topic: str, deliver: Deliver, *, credits: int, whole: bool = False
    ) -> Subscription:
        return KafkaSubscription(self._name(topic), deliver, credits, self._backbone, whole=whole)

    async def topics(self, prefix: str) -> tuple[str, ...]:
        """Raises `Unavailable`."""
        begin = self._settings.prefix + names.escaped(prefix)
        try:
            async with asyncio.timeout(self._deadlines.send):
                found = await self._cluster.topics()
        except TimeoutError:
            raise Unavailable("Kafka does not list its topics in time.") from None
        ours = (
            names.plain(name.removeprefix(self._settings.prefix)) for name in found if name.startswith(begin)
        )
        return tuple(sorted(name for name in ours if name is not None))

    async def remove_topic(self, topic: str) -> None:
        """Raises `Unavailable`."""
        name = self._name(topic)
        subscription = self._backbone.subscribers.get(name)
        if subscription is not None:
            await subscription.aclose()
        self._producer.remove(name)
        await self._backbone.topics.remove(name)
        await self._backbone.offsets.forget(name)
        self._names.pop(topic, None)

    async def try_topics(self) -> None:
        topics, name = self._backbone.topics, self._name(_TRIED)
        await topics.remove(name)  # of one who was killed in here
        await topics.ensure(name)
        await topics.remove(name)

    def problem(self) -> str | None:
        if not self._is_open:
            return "the message bus is closed"
        if self._cluster.trouble is not None:
            return f"Kafka is out of reach: {self._cluster.trouble}"
        if self._producer.trouble is not None:
            return f"Kafka takes no messages: {self._producer.trouble}"
        return None

    def _name(self, topic: str) -> str:
        name = self._settings.prefix + names.escaped(topic)
        if len(name) > names.LONGEST:
            raise InternalError(f"Topic {topic} has too long a name for Kafka.")
        self._names[topic] = name
        return name
