"""Completions of the nodes, from a controller's topic to its balancer: the way of a platform in one process."""

from __future__ import annotations

from upwhisk.common.messages import Completion, Returned
from upwhisk.common.resource import Resource
from upwhisk.common.spi.bus import Delivery, MessageBus, Subscription, controller_topic
from upwhisk.loadbalancer.balancer import Balancer

CREDITS = 1_000_000
"""Completions are handled in the turn they arrive in; they never wait for credits."""


class Acks(Resource):
    def __init__(self, bus: MessageBus, balancer: Balancer, controller: str) -> None:
        self._bus = bus
        self._balancer = balancer
        self._controller = controller
        self._subscription: Subscription | None = None

    async def start(self) -> None:
        self._subscription = self._bus.subscribe(controller_topic(self._controller), self._deliver, credits=CREDITS)
        await self._subscription.start()

    async def aclose(self) -> None:
        if self._subscription is not None:
            await self._subscription.aclose()

    def _deliver(self, delivery: Delivery) -> None:
        message = delivery.message
        if isinstance(message, Completion | Returned):
            self._balancer.completed(message)
        delivery.done()
