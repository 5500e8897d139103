"""Takes work from the node's topic, as much as there are permits, and starts a life for each."""

from __future__ import annotations

from typing import TypeGuard

import structlog

from upwhisk.common.forms import Received, Unreadable
from upwhisk.common.ids import NodeId
from upwhisk.common.messages import ActivationMessage
from upwhisk.common.resource import Resource
from upwhisk.common.spi.bus import Delivery, MessageBus, Subscription, node_topic
from upwhisk.common.tasks import TaskOwner
from upwhisk.invoker.activation import Runner
from upwhisk.invoker.standing import Standing, Take

log = structlog.get_logger(__name__)


class Consumer(Resource):
    """`credits`: how many activations may be open on this node at once."""

    def __init__(self, bus: MessageBus, runner: Runner, node: NodeId, standing: Standing, *, credits: int) -> None:
        self._bus = bus
        self._runner = runner
        self._node = node
        self._standing = standing
        self._credits = credits
        self._tasks = TaskOwner("activation", bound=credits + 1)
        self._subscription: Subscription | None = None
        self._returning = False

    async def start(self) -> None:
        self._subscription = self._bus.subscribe(node_topic(self._node), self._deliver, credits=self._credits)
        await self._subscription.start()

    def _deliver(self, delivery: Delivery) -> None:
        message = delivery.message
        if not _is_work(message) or (take := self._standing.take(message)) is Take.DROP:
            log.info("not ours to run", action="consumer.dropped", message=type(message).__name__)
            delivery.done()
            return
        is_returned = self._returning or take is Take.RETURN or isinstance(message, Unreadable)
        self._tasks.start(self._live(delivery, message, returned=is_returned), "activation")

    async def _live(self, delivery: Delivery, message: ActivationMessage | Unreadable, *, returned: bool) -> None:
        await (self._runner.give_back(delivery) if returned else self._runner.run(delivery))
        self._standing.finished(message)

    @property
    def open(self) -> int:
        return len(self._tasks)

    def return_new(self) -> None:
        """From now on what comes is given back at once."""
        self._returning = True

    async def stop_taking(self) -> None:
        if self._subscription is not None:
            await self._subscription.aclose()
            self._subscription = None

    async def wait_idle(self, timeout_s: float) -> bool:
        return await self._tasks.wait_idle(timeout_s)

    async def aclose(self) -> None:
        await self.stop_taking()
        await self._tasks.aclose(grace_s=5.0)


def _is_work(message: Received) -> TypeGuard[ActivationMessage | Unreadable]:
    if isinstance(message, Unreadable):
        return message.type == "activation" and bool(message.controller)
    return isinstance(message, ActivationMessage)
