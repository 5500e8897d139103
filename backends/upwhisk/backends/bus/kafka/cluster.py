"""What is known of the brokers: where they are, which one leads a topic, and whether any of them answers."""

from __future__ import annotations

import asyncio
import random
import time
from typing import Any

import structlog
from aiokafka.protocol.metadata import MetadataRequest

from upwhisk.backends.bus.kafka.deadlines import Deadlines
from upwhisk.backends.bus.kafka.link import CLOSED, Link, Unreachable
from upwhisk.backends.bus.kafka.security import connection_options, fault_of, setting_of
from upwhisk.common.errors import ConfigurationError
from upwhisk.common.resource import Resource
from upwhisk.common.retry import Backoff
from upwhisk.common.settings import KafkaSettings
from upwhisk.common.tasks import TaskOwner
from upwhisk.common.tls_probe import probed_fault

log = structlog.get_logger(__name__)

_DEFAULT_PORT = 9092
_UNKNOWN_TOPIC = 3
_SHORTEST_RETRY_S, _LONGEST_RETRY_S = 0.05, 1.0

Address = tuple[str, int]


class Cluster(Resource):
    """`trouble`: why no broker can be reached, None while one can. Brokers are known by their ids; the addresses to begin
    with have negative ones and are asked again when none of the others answers."""

    def __init__(self, settings: KafkaSettings, deadlines: Deadlines) -> None:
        self._settings = settings
        self._deadlines = deadlines
        self._seeds = {-1 - i: _address(text) for i, text in enumerate(settings.bootstrap)}
        self._options: dict[str, Any] = {}
        self._brokers: dict[int, Address] = {}
        self._controller: int | None = None
        self._leaders: dict[str, int] = {}
        self._errors: dict[str, int] = {}
        self._watched: set[str] = set()
        self._links: dict[int, Link] = {}
        self._connecting = asyncio.Lock()
        self._looking: asyncio.Task[None] | None = None
        self._heard_at = 0.0
        self._tasks = TaskOwner("kafka-cluster", bound=8)
        self.trouble: str | None = None

    async def start(self) -> None:
        """Raises `ConfigurationError` that names the setting at fault, at the latest after the deadline."""
        self._options = connection_options(self._settings)
        try:
            async with asyncio.timeout(self._deadlines.start):
                await self._first_contact()
        except TimeoutError:
            await self.aclose()
            raise ConfigurationError("kafka.bootstrap", self._no_answer()) from None
        except BaseException:
            await self.aclose()
            raise
        self._tasks.start(self._probe(), "probe")

    def _no_answer(self) -> str:
        reason = self.trouble or ", ".join(self._settings.bootstrap)
        if CLOSED in reason:
            reason += f"; kafka.security is '{self._settings.security}': is that what is spoken there?"
        return f"no broker answers within {self._deadlines.start:g} s ({reason})"

    async def _first_contact(self) -> None:
        backoff = Backoff(_SHORTEST_RETRY_S, _LONGEST_RETRY_S, service="bus")
        while True:
            try:
                self._learn(await self.ask(MetadataRequest([], False)))
                self.trouble = None
                return
            except Unreachable as error:
                fault = await self._fault(error)
                if fault is not None:
                    raise fault from None
                self.trouble = error.text
            await asyncio.sleep(backoff.next_s())

    async def _fault(self, error: Unreachable) -> ConfigurationError | None:
        fault = fault_of(error, self._settings)
        if fault is not None or CLOSED not in error.text:
            return fault
        host, port = list(self._seeds.values())[-1]  # whose failure it is
        found = await asyncio.to_thread(probed_fault, error, host, port, self._options.get("ssl_context"))
        return None if found is None else setting_of(found, self._settings)

    async def aclose(self) -> None:
        await self._tasks.aclose(grace_s=0.0)
        for link in self._links.values():
            link.abort()
        self._links.clear()

    # -- where things are -----------------------------------------------------------------------------------------

    def leader(self, topic: str) -> int | None:
        return self._leaders.get(topic)

    def error(self, topic: str) -> int:
        """The broker's error code for the topic when it was last looked for."""
        return self._errors.get(topic, 0)

    def is_missing(self, topic: str) -> bool:
        return self._errors.get(topic) == _UNKNOWN_TOPIC

    def watch(self, topic: str) -> None:
        self._watched.add(topic)

    def forget(self, topic: str) -> None:
        self._watched.discard(topic)
        self._leaders.pop(topic, None)
        self._errors.pop(topic, None)

    async def refresh(self) -> None:
        """Look for the leaders of all watched topics. Raises `Unreachable`."""
        if self._looking is None or self._looking.done():
            self._looking = self._tasks.start(self._look(sorted(self._watched)), "metadata")
        await asyncio.shield(self._looking)
        if self.trouble is not None:
            raise Unreachable(self.trouble)

    async def topics(self) -> list[str]:
        """Every topic that there is."""
        metadata = await self.ask(MetadataRequest(None, False))
        return [topic for _, topic, *_ in metadata.topics]

    async def exists(self, topic: str) -> bool:
        metadata = await self.ask(MetadataRequest([topic], False))
        return any(error != _UNKNOWN_TOPIC for error, *_ in metadata.topics)

    # -- asking ---------------------------------------------------------------------------------------------------

    async def open(self, node: int, *, answer_s: float) -> Link:
        """A connection of the caller's own to a broker."""
        link = self._link(node, answer_s)
        await link.connect(self._deadlines.answer)
        return link

    async def ask(self, request: Any, node: int | None = None) -> Any:
        """Ask one broker, or else whichever answers first, over a connection that all share."""
        failure = Unreachable("no broker is known")
        for candidate in self._candidates() if node is None else [node]:
            try:
                answer = await (await self._shared(candidate)).ask(request)
            except Unreachable as error:
                failure = error
            else:
                self.heard()
                return answer
        raise failure

    async def ask_controller(self, request: Any) -> Any:
        """For changes of topics; a cluster without ZooKeeper takes them anywhere."""
        known = self._controller if self._controller in self._brokers else None
        return await self.ask(request, known)

    def heard(self) -> None:
        """Some broker answered something."""
        self._heard_at = time.monotonic()
        if self.trouble is not None:
            self._set_trouble(None)

    def _candidates(self) -> list[int]:
        known = list(self._brokers)
        random.shuffle(known)
        return known + list(self._seeds)

    async def _shared(self, node: int) -> Link:
        link = self._links.get(node)
        if link is not None and link.alive:
            return link
        async with self._connecting:
            link = self._links.get(node)
            if link is None or not link.alive:
                if link is not None:
                    link.abort()
                link = self._links[node] = self._link(node, self._deadlines.answer)
                await link.connect(self._deadlines.answer)
        return link

    def _link(self, node: int, answer_s: float) -> Link:
        address = self._brokers.get(node) or self._seeds.get(node)
        if address is None:
            raise Unreachable(f"broker {node} is not known any more")
        return Link(*address, self._options, answer_s=answer_s)

    # -- metadata -------------------------------------------------------------------------------------------------

    async def _probe(self) -> None:
        """Notice a silent death: whoever fails looks by himself, but an idle bus asks nothing."""
        while True:
            await asyncio.sleep(self._deadlines.probe)
            if self.trouble is not None or time.monotonic() - self._heard_at >= self._deadlines.probe:
                await self._look([])

    async def _look(self, topics: list[str]) -> None:
        try:
            self._learn(await self.ask(MetadataRequest(topics, False)))
        except Unreachable as error:
            self._set_trouble(error.text)

    def _learn(self, metadata: Any) -> None:
        brokers = {node: (host, port) for node, host, port, _ in metadata.brokers}
        if brokers:
            for gone in self._links.keys() - brokers.keys() - self._seeds.keys():
                self._links.pop(gone).abort()
            self._brokers = brokers
        self._controller = metadata.controller_id
        for error, topic, _, partitions in metadata.topics:
            leader = partitions[0][2] if partitions else -1
            self._errors[topic] = error
            if leader >= 0 and leader in self._brokers:
                self._leaders[topic] = leader
            else:
                self._leaders.pop(topic, None)

    def _set_trouble(self, text: str | None) -> None:
        if text is not None and self.trouble is None:
            log.warning("Kafka is out of reach", action="kafka.lost", reason=text)
        elif text is None:
            log.info("Kafka answers again", action="kafka.back")
        self.trouble = text


def _address(text: str) -> Address:
    host, colon, port = text.rpartition(":")
    if not colon or (text.count(":") > 1 and not host.endswith("]")):
        host, port = text, str(_DEFAULT_PORT)
    if not host.strip("[]") or not port.isdecimal() or not 0 < int(port) <= 65535:
        raise ConfigurationError("kafka.bootstrap", f"'{text}' is no address of the form host:port")
    return host.strip("[]"), int(port)
