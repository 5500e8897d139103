"""One controller's log on the bus: what it appends comes back in the order of the log, and only then it counts."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from functools import partial

import structlog

from upwhisk.common.errors import StoreUnavailable
from upwhisk.common.forms import Received, Unreadable
from upwhisk.common.ids import ControllerId
from upwhisk.common.messages import STATES, TAKES_OVER, Bundle, Carried, Completion, Entry, Returned
from upwhisk.common.resource import Resource
from upwhisk.common.spi.bus import Delivery, MessageBus, Subscription, controller_topic
from upwhisk.common.tasks import TaskOwner
from upwhisk.controller.delivery.holds import Holds
from upwhisk.controller.delivery.ledger import Applied, Ledger
from upwhisk.controller.delivery.recorder import Recorder

log = structlog.get_logger(__name__)

CREDITS = 1_000_000
"""Messages of the log stay open until nothing depends on them; the bound on work and records under way bounds them."""
READ_BACK_S = 15.0
"""How long an entry may take to come back; it may still count afterwards."""
OPEN_S = 60.0
CARRY_AT = 8192
"""With so many messages open, old work is said again so that the log's beginning can go."""
_CARRIED_AT_ONCE = 512
STATE_EVERY = 500
"""Messages after which the owner says again that the log is its own."""

Answered = Callable[[Completion | Returned | Unreadable], None]
"""Told outcomes that count, everything that nodes give back, and what they say in a form that is not read."""


class UnreadableLog(StoreUnavailable):
    """A controller of another release wrote to this log what this one cannot read: it is not ours to take over."""


class ControllerLog(Resource):
    """`start` takes the log over: it returns when everything in it was read and we are its owner."""

    def __init__(
        self, bus: MessageBus, name: str, owner: ControllerId, recorder: Recorder, answered: Answered
    ) -> None:
        self.name = name
        self.ledger = Ledger()
        self.lost = False
        self._bus = bus
        self._owner = owner
        self._recorder = recorder
        self._answered = answered
        self._holds = Holds()
        self._subscription: Subscription | None = None
        self._number = 0
        self._gathered: list[Entry] = []
        self._gathering: asyncio.Future[list[bool]] | None = None
        self._waiting: dict[int, asyncio.Future[list[bool]]] = {}
        self._carrying = False
        self._since_word = 0
        self._tasks = TaskOwner(f"log-{name}")
        self._on_lost: Callable[[], None] = lambda: None

    @property
    def topic(self) -> str:
        return controller_topic(self.name)

    @property
    def is_idle(self) -> bool:
        """Nothing is under way and every record is stored."""
        return not self.ledger.pending and not len(self._holds) and not self._waiting

    def on_lost(self, notify: Callable[[], None]) -> None:
        """Called once if somebody else takes the log over."""
        self._on_lost = notify

    async def start(self) -> None:
        """`StoreUnavailable` if the log cannot be read to its end in time."""
        self._subscription = self._bus.subscribe(self.topic, self._deliver, credits=CREDITS)
        await self._subscription.start()
        opened: asyncio.Future[list[bool]] = asyncio.get_running_loop().create_future()
        self._waiting[TAKES_OVER] = opened
        try:
            async with asyncio.timeout(OPEN_S):
                await self._bus.send(self.topic, Bundle(owner=self._owner, number=TAKES_OVER))
                await opened
        except TimeoutError:
            raise StoreUnavailable(f"The log '{self.name}' could not be read within {OPEN_S:.0f} s.") from None

    async def aclose(self) -> None:
        self._holds.released = True
        if self._subscription is not None:
            await self._subscription.aclose()
            self._subscription = None
        await self._tasks.aclose(grace_s=0.0)
        self._fail_all("it is closed")

    # -- appending: one bundle for a turn of the event loop ---------------------------------------------------------

    def append(self, entries: list[Entry]) -> asyncio.Future[list[bool]]:
        """Whether each entry counted, in order. `StoreUnavailable`: it is not known to count, though it still may."""
        loop = asyncio.get_running_loop()
        if self.lost or self._subscription is None:
            refused: asyncio.Future[list[bool]] = loop.create_future()
            refused.set_exception(_unavailable("this controller's log is not its own any more"))
            refused.exception()
            return refused
        if self._gathering is None:
            self._gathering = loop.create_future()
            loop.call_soon(self._flush)
        first = len(self._gathered)
        self._gathered += entries
        return _slice(self._gathering, first, first + len(entries))

    async def read_up(self) -> None:
        """Everything that is in the log by now was read. `StoreUnavailable`: it is not known to be."""
        await self.append([])

    def _flush(self) -> None:
        entries, self._gathered = self._gathered, []
        future, self._gathering = self._gathering, None
        assert future is not None
        self._number += 1
        number = self._number
        self._waiting[number] = future
        bundle = Bundle(owner=self._owner, number=number, entries=tuple(entries))
        sending = self._bus.send(self.topic, bundle)
        sending.add_done_callback(lambda sent: self._sent(number, sent))
        asyncio.get_running_loop().call_later(READ_BACK_S, self._give_up, number)

    def _sent(self, number: int, sending: asyncio.Future[None]) -> None:
        if sending.cancelled() or (error := sending.exception()) is not None:
            reason = "cancelled" if sending.cancelled() else str(error)
            self._fail(number, f"the message bus did not confirm ({reason})")

    def _give_up(self, number: int) -> None:
        self._fail(number, f"the message bus did not give it back within {READ_BACK_S:.0f} s")

    def _fail(self, number: int, reason: str) -> None:
        future = self._waiting.pop(number, None)
        if future is not None and not future.done():
            future.set_exception(_unavailable(reason))
            future.exception()  # not every writer waits

    def _fail_all(self, reason: str) -> None:
        for number in list(self._waiting):
            self._fail(number, reason)

    # -- reading: the only place where anything counts --------------------------------------------------------------

    def _deliver(self, delivery: Delivery) -> None:
        message = delivery.message
        if isinstance(message, Unreadable) and message.type == "bundle":
            self._do_not_understand(message)
            return  # not done: it stays in the log for a release that reads it
        applied = self.ledger.apply(message)
        for id_ in applied.carried:
            self._holds.free(id_)
        if applied.states_owner:
            self._holds.keep_word(delivery)
        else:
            self._holds.keep(delivery, applied.kept + applied.carried)
        for record in applied.recorded:
            self._recorder.put(record, partial(self._holds.free, record.activation_id))
        for id_ in applied.ended:
            self._holds.free(id_)
        self._tell(message, applied)
        self._state_owner()
        if len(self._holds) > CARRY_AT and not self._carrying:
            self._carrying = True
            self._tasks.start(self._carry(), "carry")

    def _tell(self, message: Received, applied: Applied) -> None:
        if isinstance(message, Bundle):
            if message.number == TAKES_OVER and message.owner != self._owner:
                self._lose()
            elif message.owner == self._owner:
                self._came_back(message.number, applied)
        elif isinstance(message, Returned | Unreadable) or (isinstance(message, Completion) and applied.counted):
            self._answered(message)

    def _came_back(self, number: int, applied: Applied) -> None:
        future = self._waiting.pop(number, None)
        if future is None or future.done():
            return
        if applied.counted:
            future.set_result(applied.results)
        else:
            future.set_exception(_unavailable("another controller has taken this log over"))
            future.exception()

    def _do_not_understand(self, message: Unreadable) -> None:
        """What may be in it (work that was accepted) must not be passed over, and nothing after it can be judged."""
        opening = self._waiting.get(TAKES_OVER)
        self._holds.released = True
        if opening is None:
            self._lose()
        elif not opening.done():
            opening.set_exception(UnreadableLog(f"The log '{self.name}' cannot be taken over: {message.reason}."))

    def _lose(self) -> None:
        if self.lost or TAKES_OVER in self._waiting:
            return  # told already; or these are former owners, read while we take over
        self.lost = True
        self._holds.released = True
        log.warning("another controller took this log over", action="log.lost", log=self.name)
        self._fail_all("another controller has taken this log over")
        self._on_lost()

    def _state_owner(self) -> None:
        """Every so many messages, so that the log's beginning can go."""
        self._since_word += 1
        if self._since_word >= STATE_EVERY and not self.lost and TAKES_OVER not in self._waiting:
            self._since_word = 0
            self._bus.send(self.topic, Bundle(owner=self._owner, number=STATES)).add_done_callback(_seen)

    async def _carry(self) -> None:
        """Say old work again at the head of the log, so that it does not hold the log's beginning."""
        try:
            old = self._holds.oldest(len(self._holds) // 2)
            works = [w for id_, w in self.ledger.pending.items() if id_ in old][:_CARRIED_AT_ONCE]
            entries: list[Entry] = [
                Carried(message=w.message, attempt=w.attempt, begun=w.begun, progress=w.progress) for w in works
            ]
            for entry in entries:
                await self.append([entry])
        except StoreUnavailable as error:
            log.info("not carried", action="log.carry", log=self.name, reason=str(error))
        finally:
            self._carrying = False


def _seen(sending: asyncio.Future[None]) -> None:
    """Whether it arrived is of no account: another word follows."""
    if not sending.cancelled():
        sending.exception()


def _slice(gathered: asyncio.Future[list[bool]], first: int, end: int) -> asyncio.Future[list[bool]]:
    """The part of a bundle's results that belongs to one call."""
    part: asyncio.Future[list[bool]] = asyncio.get_running_loop().create_future()

    def done(whole: asyncio.Future[list[bool]]) -> None:
        if part.done():
            return
        error = whole.exception()
        if error is not None:
            part.set_exception(error)
            part.exception()  # not every writer waits
        else:
            part.set_result(whole.result()[first:end])

    gathered.add_done_callback(done)
    return part


def _unavailable(reason: str) -> StoreUnavailable:
    return StoreUnavailable(f"The log of accepted work is not available: {reason}.")
