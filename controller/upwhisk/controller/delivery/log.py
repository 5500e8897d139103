"""One controller's log on the bus: what it appends comes back in the order of the log, and only then it counts."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import structlog

from upwhisk.common.errors import StoreUnavailable
from upwhisk.common.forms import Received, Unreadable
from upwhisk.common.ids import ControllerId
from upwhisk.common.messages import STATES, TAKES_OVER, Bundle, Completion, Entry, Returned, Unencodable
from upwhisk.common.resource import Resource
from upwhisk.common.retry import kept_trying
from upwhisk.common.spi.bus import Delivery, MessageBus, Subscription, controller_topic
from upwhisk.common.tasks import TaskOwner
from upwhisk.controller.delivery.awaited import Awaited, Results, refuse
from upwhisk.controller.delivery.beginnings import Begin, Beginnings
from upwhisk.controller.delivery.bundles import BUNDLE_BYTES, Part, parted
from upwhisk.controller.delivery.entries import said_again, withdrawals
from upwhisk.controller.delivery.holds import Holds
from upwhisk.controller.delivery.ledger import Applied, Ledger, retells
from upwhisk.controller.delivery.ownership import OWNED_S, Ownership
from upwhisk.controller.delivery.recorder import Recorder

log = structlog.get_logger(__name__)

CREDITS = 1_000_000
"""Messages of the log stay open until nothing depends on them; the bound on work and records under way bounds them."""
CARRY_AT = 8192
"""With so many messages between the oldest that is needed and the newest, old work is said again at the head."""
STATE_EVERY = 500
"""Messages after which the owner says again that the log is its own."""

Answered = Callable[[Completion | Returned | Unreadable, bool], None]
"""Told what a node said of an end, also in a form that is not read, and whether it counted."""


class UnreadableLog(StoreUnavailable):
    """A controller of another release wrote to this log what this one cannot read: it is not ours to take over."""


@dataclass(frozen=True, slots=True)
class LogPorts:
    """`now`: seconds that also pass while the machine is suspended."""

    bus: MessageBus
    recorder: Recorder
    answered: Answered
    now: Callable[[], float]


class ControllerLog(Resource):
    """`start` takes the log over: it returns when everything in it was read and we are its owner. `owner`: used once."""

    def __init__(self, ports: LogPorts, name: str, owner: ControllerId) -> None:
        self.name = name
        self.ledger = Ledger()
        self.lost = False
        self.ownership = Ownership(ports.now)
        self._beginnings = Beginnings()
        self._ports = ports
        self._owner = owner
        self._holds = Holds()
        self._subscription: Subscription | None = None
        self._number = self._heard = 0
        """Of the last bundle that was sent, and of the last that came back."""
        self._gathered: list[Part[Results]] = []
        self._awaited = Awaited(ports.now)
        self._opened: asyncio.Future[None] | None = None
        self._since_word = 0
        self._since_carry = 0
        self._companion = -1
        self._tasks = TaskOwner(f"log-{name}")
        self._on_lost: Callable[[], None] = lambda: None

    @property
    def topic(self) -> str:
        return controller_topic(self.name)

    @property
    def is_idle(self) -> bool:
        """Nothing is under way and every record is stored."""
        return not self.ledger.pending and not len(self._holds) and not len(self._awaited) and not self._gathered

    def on_lost(self, notify: Callable[[], None]) -> None:
        """Called once if the log is not ours any more."""
        self._on_lost = notify

    async def start(self) -> None:
        """`StoreUnavailable` if the log cannot be read to its end in time, `UnreadableLog` if this release cannot read it."""
        self._subscription = self._ports.bus.subscribe(self.topic, self._deliver, credits=CREDITS, whole=True)
        opened = self._opened = asyncio.get_running_loop().create_future()
        try:
            async with asyncio.timeout(OWNED_S):
                await self._subscription.start()
                word = Bundle(owner=self._owner, number=TAKES_OVER, word=self._says())
                sending = self._ports.bus.send(self.topic, word)
                await asyncio.wait([opened, sending], return_when=asyncio.FIRST_COMPLETED)
                if not opened.done():
                    await sending
                await opened
        except TimeoutError:
            raise StoreUnavailable(f"The log '{self.name}' could not be read within {OWNED_S:.0f} s.") from None

    async def aclose(self) -> None:
        self._holds.released = True
        if self._subscription is not None:
            await self._subscription.aclose()
            self._subscription = None
        await self._tasks.aclose(grace_s=0.0)
        self._fail_all("it is closed")

    # -- appending: what one turn of the event loop asked for goes together -----------------------------------------

    def append(self, entries: list[Entry], *, with_next: bool = False) -> Results:
        """Whether each entry counted, in order. `Unconfirmed`: it is not known to count, though it still may; `StoreUnavailable`: it does not.
        `with_next`: all or nothing together with what is appended next, in the same turn."""
        done: Results = asyncio.get_running_loop().create_future()
        if self.lost or self._subscription is None:
            refuse(done, "it is not this controller's any more")
            return done
        if not self._gathered:
            asyncio.get_running_loop().call_soon(self._flush)
        self._gathered.append(Part(entries, done, with_next))
        return done

    async def read_up(self) -> None:
        """Everything that is in the log by now was read. `StoreUnavailable`: it is not known to be."""
        await self.append([])

    def _flush(self) -> None:
        gathered, self._gathered = self._gathered, []
        try:
            bundles = list(parted(gathered, BUNDLE_BYTES))
        except Unencodable:  # each goes alone, so that one fails alone
            bundles = list(parted(gathered, 0, len))
        for parts in bundles:
            self._send(parts)

    def _send(self, parts: list[Part[Results]]) -> None:
        number = self._number = self._number + 1
        self._awaited.add(number, parts)
        entries = tuple(entry for part in parts for entry in part.entries)
        if retells(entries):
            self._holds.retold()
            self._beginnings.retells(number, companion=self._companion)
        self._companion = -1
        bundle = Bundle(owner=self._owner, number=number, entries=entries)
        sending = self._ports.bus.send(self.topic, bundle)
        if sending.done():  # at once: what is refused was not sent
            self._sent(sending, "refuses", partial(self._awaited.discount, number))
        else:
            sending.add_done_callback(lambda sent: self._sent(sent, "did not confirm", partial(self._awaited.fail, number)))

    def _sent(self, sending: asyncio.Future[None], what: str, fail: Callable[[str], None]) -> None:
        if sending.cancelled() or (error := sending.exception()) is not None:
            fail(f"the message bus {what} ({'cancelled' if sending.cancelled() else error})")

    def _fail_all(self, reason: str) -> None:
        self._awaited.fail_all(reason)
        gathered, self._gathered = self._gathered, []
        for part in gathered:
            refuse(part.done, reason)

    # -- reading: the only place where anything counts --------------------------------------------------------------

    def _deliver(self, delivery: Delivery) -> None:
        self.look()
        if self.lost:
            return
        message = delivery.message
        if isinstance(message, Unreadable) and message.type == "bundle":
            self._do_not_understand(message)
            return  # not done: it stays in the log for a release that reads it
        applied = self.ledger.apply(message, delivery.place)
        for id_ in applied.carried:
            self._holds.free(id_)
        if applied.states_owner:
            assert isinstance(message, Bundle)
            self._holds.keep_word(delivery, self._has_heard(message))
        else:
            self._holds.keep(delivery, applied.kept + applied.carried)
        for record in applied.recorded:
            self._ports.recorder.put(record, partial(self._holds.free, record.activation_id))
        for id_ in applied.ended:
            self._holds.free(id_)
        self._tell(message, applied)
        self._since_word += 1
        self._since_carry += 1
        if self._opened is None:
            self._shorten()

    def _tell(self, message: Received, applied: Applied) -> None:
        if isinstance(message, Completion | Returned) or (isinstance(message, Unreadable) and message.type != "begun"):
            self._ports.answered(message, applied.counted)
        elif isinstance(message, Bundle):
            if message.owner == self._owner:
                self._came_back(message, applied)
            elif message.number == TAKES_OVER and self._opened is None:  # before that: former owners
                self._lose("another controller took it over")

    def _has_heard(self, word: Bundle) -> Begin:
        """Whether reading may begin with this word: not with those that former owners said."""
        if word.owner != self._owner:
            return Begin.NO
        self.ownership.heard(word.word)
        begins = self._beginnings.heard(word.word)
        if self._opened is not None:
            opened, self._opened = self._opened, None
            if not opened.done():
                opened.set_result(None)
        return begins

    def _came_back(self, bundle: Bundle, applied: Applied) -> None:
        if bundle.number in (TAKES_OVER, STATES):
            return
        if not applied.counted:
            self._awaited.discount(bundle.number, "another controller took it over")
            return
        if (begins := self._beginnings.told(bundle.number, is_true=all(applied.results))) is not None:
            self._holds.decide(begins=begins)
        is_new, self._heard = bundle.number > self._heard, max(bundle.number, self._heard)
        sent = self._awaited.take(bundle.number)
        if sent is None:
            if is_new:
                self._withdraw(bundle)
            return
        self.ownership.confirmed(sent.at)
        sent.counted(applied.results)

    def _withdraw(self, bundle: Bundle) -> None:
        """It came after its writers were told that it is not kept: what nobody else knows of is not run."""
        if discards := withdrawals(bundle, self.ledger.pending):
            log.info("came too late", action="log.withdrawn", log=self.name, count=len(discards))
            self._tasks.start(kept_trying(lambda: self.append(discards), what="withdrawal"), "withdrawal")

    # -- whose it is ------------------------------------------------------------------------------------------------

    def look(self) -> None:
        """Called now and then, and before anything that was read is believed."""
        if self.lost or self._opened is not None or self._subscription is None:
            return
        if self.ownership.has_lapsed:
            self._lose(f"what we wrote did not come back for {OWNED_S:.0f} s")
        elif self.ownership.is_quiet:
            self._state()

    def _do_not_understand(self, bundle: Unreadable) -> None:
        """What may be in it (work that was accepted) must not be passed over, and nothing after it can be judged."""
        if self._opened is not None and not self._opened.done():
            self._opened.set_exception(UnreadableLog(f"The log '{self.name}' cannot be taken over: {bundle.reason}."))
            self._opened.exception()  # who opens it may have given up
        self._lose(f"it cannot be read: {bundle.reason}")

    def _lose(self, reason: str) -> None:
        if self.lost:
            return
        self.lost = True
        self._holds.released = True
        log.warning("log lost", action="log.lost", log=self.name, reason=reason)
        self._fail_all(reason)
        self._on_lost()

    def _state(self) -> None:
        """Say again that it is ours."""
        self._since_word = 0
        word = Bundle(owner=self._owner, number=STATES, word=self._says())
        self._ports.bus.send(self.topic, word).add_done_callback(_seen)

    def _says(self) -> int:
        word = self.ownership.says()
        self._beginnings.says(word, self._number)
        return word

    # -- keeping it short -------------------------------------------------------------------------------------------

    def _shorten(self) -> None:
        if self._since_word >= STATE_EVERY:
            self._state()
        if self._since_carry >= CARRY_AT // 4 and self._holds.span >= CARRY_AT:
            self._since_carry = 0
            self._carry()

    def _carry(self) -> None:
        """Say old work again at the head of the log, so that it does not hold the log's beginning: in one bundle, right after
        a word to begin with."""
        if entries := said_again(self.ledger.pending, self._holds.oldest(CARRY_AT // 2)):
            self._state()
            self._companion = self.ownership.last_word
            self._send([Part(entries, asyncio.get_running_loop().create_future())])


def _seen(sending: asyncio.Future[None]) -> None:
    """Whether it arrived is of no account: another word follows."""
    if not sending.cancelled():
        sending.exception()
