"""Contract of the message bus: topics with ordered, at-least-once hand-over."""

from __future__ import annotations

import asyncio
from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass

from upwhisk.common.forms import Received
from upwhisk.common.messages import Message
from upwhisk.common.resource import Resource


@dataclass(frozen=True, slots=True)
class BusAbilities:
    """`durable`: what `send` accepted survives the death of every process of ours."""

    durable: bool


class Delivery(ABC):
    """One message handed to a consumer. Until `done` is called it counts as not consumed. `place`: rises within a topic;
    0 is the first message since the topic was made.

    What this release cannot read comes too, as `Unreadable`: the subscriber sees to it that the work ends all the same.
    """

    message: Received
    place: int

    @abstractmethod
    def done(self) -> None:
        """Its effects are safe; a durable bus may forget it. Returns one credit. Calling it twice is harmless."""


Deliver = Callable[[Delivery], None]


class Subscription(Resource):
    """`aclose` stops deliveries; what was not done is delivered again to the next subscription of the topic, and perhaps what
    was done behind it."""

    @abstractmethod
    def grant(self, credits: int) -> None:
        """Allow `credits` more deliveries to be open at once (negative: fewer, as they are done)."""


class MessageBus(Resource):
    """Rules for every implementation:

    * Messages of one topic reach its subscriber in the order of their sends.
    * At most as many deliveries are open at a time as the subscription has credits.
    * A topic has one subscriber at a time; messages sent before it came wait for it.
    * `deliver` is called on the event loop and must not block or raise.
    """

    abilities: BusAbilities

    @abstractmethod
    def send(self, topic: str, message: Message) -> asyncio.Future[None]:
        """Begin to hand the message over, in the order of the calls.

        The future is done when the message is queued (durably, if the bus is durable); a bus that hands over within
        the process returns it done. It raises `Unavailable` if the message cannot be queued within the bus's own
        deadline; it may still arrive then. It raises `InternalError` for what the bus can never take. The call itself raises
        nothing.
        """

    @abstractmethod
    def subscribe(
        self, topic: str, deliver: Deliver, *, credits: int, whole: bool = False
    ) -> Subscription:
        """Not started yet: `await subscription.start()` begins the deliveries. `whole`: what follows on the first message
        that was not done comes too, in order, done or not, as if nobody had read it before."""

    @abstractmethod
    async def topics(self, prefix: str) -> tuple[str, ...]:
        """The topics that exist, ordered by name."""

    @abstractmethod
    async def remove_topic(self, topic: str) -> None:
        """Forget a topic and what it holds; unknown topics are ignored."""

    async def try_topics(self) -> None:
        """Make a topic and remove it, as nodes and controllers will. Raises `Unavailable` that says why it cannot be. A bus whose
        topics need no making has nothing to try."""

    @abstractmethod
    def problem(self) -> str | None:
        """Why nothing can be sent now, or None. Cheap: asked for every request."""


def node_topic(node: str) -> str:
    return f"invoker-{node}"


def controller_topic(controller: str) -> str:
    return f"completed-{controller}"
