"""How a node makes starts and outcomes durable, and gives work back that it will not start."""

from __future__ import annotations

import asyncio
from abc import ABC, abstractmethod
from collections.abc import Callable

import structlog

from upwhisk.common.errors import StoreUnavailable
from upwhisk.common.forms import Unreadable
from upwhisk.common.ids import NodeId
from upwhisk.common.messages import MAX_ATTEMPTS, ActivationMessage, Begun, Completion, Returned
from upwhisk.common.model.activation import Activation
from upwhisk.common.retry import kept_trying
from upwhisk.common.spi.bus import MessageBus, controller_topic
from upwhisk.common.spi.store import Journal
from upwhisk.invoker.standing import Standing

log = structlog.get_logger(__name__)

STOPPING = "the node is stopping"
LAPSED = "the node was not heard of for too long to start it"


class Handback(ABC):
    @abstractmethod
    async def begin(self, message: ActivationMessage) -> bool:
        """Durable when it returns, before anything is sent to the guest. False: it must not start here any more."""

    @abstractmethod
    async def settle(self, message: ActivationMessage, record: Activation) -> None:
        """The outcome is durable, and whoever waits is told, when it returns."""

    @abstractmethod
    async def give_back(self, message: ActivationMessage | Unreadable, *, started: bool = False) -> None:
        """It has not started and will not start here, or (`started`) was broken off and may be run once more. What cannot
        be read here may be read by another node."""

    @abstractmethod
    def goes_on(self, message: ActivationMessage) -> bool:
        """Whether what is given back is run elsewhere, or later."""

    def problem(self) -> str | None:
        """Why this node can make no container now, though another may: what gets none is given back. Without another node
        None."""
        return None

    def runs_again(self, message: ActivationMessage) -> bool:
        """Whether that is so of work that has started, too."""
        return message.retry_safe and message.attempt < MAX_ATTEMPTS and self.goes_on(message)


def completion_of(message: ActivationMessage, node: NodeId, record: Activation) -> Completion:
    return Completion(
        activation_id=message.activation_id,
        node=node,
        attempt=message.attempt,
        dispatch=message.dispatch,
        record=record,
        stored=message.stored,
        journalled=message.journalled,
    )


class StoreHandback(Handback):
    """In one process: the store's journal, then the completion. What is given back stays journalled."""

    def __init__(self, journal: Journal, bus: MessageBus, node: NodeId) -> None:
        self._journal = journal
        self._bus = bus
        self._node = node

    async def begin(self, message: ActivationMessage) -> bool:
        if message.journalled:
            await self._journal.begin(message.activation_id, message.attempt)
        return True

    async def settle(self, message: ActivationMessage, record: Activation) -> None:
        stored = True
        try:
            if message.stored:
                stored = await self._journal.settle(record)
            elif message.journalled:
                await self._journal.discard(record.activation_id)
        except StoreUnavailable as error:
            log.error("record not stored", action="activation.not_stored", id=record.activation_id, reason=str(error))
        if not stored:
            log.info("late outcome dropped", action="activation.fenced", id=record.activation_id)
        await self._bus.send(controller_topic(message.controller), completion_of(message, self._node, record))

    async def give_back(self, message: ActivationMessage | Unreadable, *, started: bool = False) -> None:
        """The next start finds it in the journal."""

    def goes_on(self, message: ActivationMessage) -> bool:
        return message.journalled


class BusHandback(Handback):
    """In a fleet: everything goes to the log of the controller that answers for the work. Each hand-over gets an outcome
    or is given back. `problem`: the container factory's."""

    def __init__(
        self, bus: MessageBus, node: NodeId, standing: Standing, problem: Callable[[], str | None]
    ) -> None:
        self._bus = bus
        self._node = node
        self._standing = standing
        self._problem = problem
        self._changed = asyncio.Event()
        standing.on_change(self._tell)

    async def begin(self, message: ActivationMessage) -> bool:
        await self._wait_for_membership(message)
        if not self._standing.may_start(message):
            return False
        if message.journalled or message.tells_start:
            begun = Begun(
                activation_id=message.activation_id,
                node=self._node,
                attempt=message.attempt,
                dispatch=message.dispatch,
            )
            await self._send(message, begun)
        # Only a node that is a member now can be sure that nobody has fenced this hand-over off in the meantime.
        return self._standing.may_start(message)

    async def settle(self, message: ActivationMessage, record: Activation) -> None:
        await self._send(message, completion_of(message, self._node, record))

    async def give_back(self, message: ActivationMessage | Unreadable, *, started: bool = False) -> None:
        returned = Returned(
            activation_id=message.activation_id,
            node=self._node,
            attempt=message.attempt,
            dispatch=message.dispatch,
            reason=self._why_not(message),
            unread=isinstance(message, Unreadable),
            started=started,
        )
        await self._send(message, returned)

    def goes_on(self, message: ActivationMessage) -> bool:
        return True

    def problem(self) -> str | None:
        return self._problem()

    def runs_again(self, message: ActivationMessage) -> bool:
        """Controllers who do not know that it may have started do not ask to be told of starts."""
        return message.tells_start and super().runs_again(message)

    def _why_not(self, message: ActivationMessage | Unreadable) -> str:
        if isinstance(message, Unreadable):
            return f"this node cannot read it: {message.reason}"
        if not self._standing.may_start(message):
            return LAPSED
        return self._problem() or STOPPING

    async def _wait_for_membership(self, message: ActivationMessage) -> None:
        """While the registry is away a node cannot know whether it is still a member, nor would another one."""
        while self._standing.is_of_now(message) and not self._standing.is_member:
            await self._changed.wait()

    def _tell(self) -> None:
        self._changed.set()
        self._changed = asyncio.Event()

    async def _send(self, message: ActivationMessage | Unreadable, answer: Begun | Completion | Returned) -> None:
        topic = controller_topic(message.controller)
        await kept_trying(lambda: self._bus.send(topic, answer), what=f"answer to {message.controller}")
