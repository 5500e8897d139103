"""A consumer of a bus that keeps what it was handed."""

from __future__ import annotations

from upwhisk.common.forms import Received
from upwhisk.common.spi.bus import Delivery, MessageBus, Subscription


class Consumer:
    """`most` is how many were open at once. `finishes`: each as soon as it comes."""

    def __init__(self, *, finishes: bool = False) -> None:
        self.deliveries: list[Delivery] = []
        self.open: list[Delivery] = []
        self.most = 0
        self._finishes = finishes

    def __call__(self, delivery: Delivery) -> None:
        self.deliveries.append(delivery)
        if self._finishes:
            delivery.done()
        else:
            self.open.append(delivery)
            self.most = max(self.most, len(self.open))

    @property
    def messages(self) -> list[Received]:
        return [delivery.message for delivery in self.deliveries]

    def finish(self, index: int = 0) -> None:
        self.open.pop(index).done()


async def subscribed(
    bus: MessageBus, consumer: Consumer, *, credits: int, topic: str = "t", whole: bool = False
) -> Subscription:
    subscription = bus.subscribe(topic, consumer, credits=credits, whole=whole)
    await subscription.start()
    return subscription
