"""A controller in the model: what `Balancer`, `Fences`, `Recovery` and `Recorder` do, by the same decisions."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import msgspec
from model.host import Host
from model.topics import Reading

from upwhisk.common.ids import ActivationId, ControllerId, NodeId
from upwhisk.common.messages import (
    Accepted,
    ActivationMessage,
    Completion,
    Discarded,
    Dispatched,
    Noted,
    Returned,
    Settled,
)
from upwhisk.common.model.action import SEQUENCE
from upwhisk.common.model.activation import Activation
from upwhisk.common.spi.bus import controller_topic
from upwhisk.common.unfinished import lost
from upwhisk.controller.delivery.ledger import Work
from upwhisk.controller.verdict import Verdict, judge
from upwhisk.loadbalancer.pending import Phase
from upwhisk.loadbalancer.presence import Meaning, Presence, meaning_of, presence

if TYPE_CHECKING:
    from model.world import World

LEASE_S = 3.0
_AGE_S = 1e9


@dataclass(eq=False)
class Pending:
    """`waits`: a caller does. `end`: the record it is to end with, and that the log has not taken yet."""

    message: ActivationMessage
    phase: Phase = Phase.QUEUED
    waits: bool = False
    announced: bool = False
    end: Activation | None = None
    asked: bool = False


@dataclass(eq=False)
class Unstored:
    record: Activation
    stored: list[Callable[[], None]] = field(default_factory=list)
    is_put: bool = False


class Controller:
    def __init__(self, world: World, name: str) -> None:
        self.world = world
        self.name = name
        self.starts = 0
        self.is_up = False
        self.hosts: dict[str, Host] = {}
        self.start()

    def start(self) -> None:
        self.starts += 1
        self.is_up = True
        self.process = f"{self.name}{self.starts}"
        self.own: Host | None = None
        self.hosts = {}
        self.pending: dict[ActivationId, Pending] = {}
        self.sequences: dict[ActivationId, tuple[Host, int]] = {}
        self.unstored: dict[ActivationId, Unstored] = {}
        self.view: dict[str, tuple[str | None, bool]] = {}
        self.absent: dict[str, float] = {}
        self.look()
        self.open_own()

    def crash(self) -> None:
        self.is_up = False
        self.world.bus.sender_died(self.process)
        for waiting in [p for p in self.pending.values() if p.waits]:
            self.world.unanswered(waiting.message.activation_id)

    # -- logs -------------------------------------------------------------------------------------------------------

    def open_own(self) -> None:
        if self.own is None:
            name = f"{self.process}-{self.world.unique()}"
            self.own = self.host(name)

    def host(self, name: str, *, mark: int = -1) -> Host:
        topic = self.world.bus.topic(controller_topic(name))
        reading = Reading(topic, topic.marks[max(0, len(topic.marks) + mark)])
        self.world.registry.claims[name] = self.process
        made = self.hosts[name] = Host(self, name, reading)
        return made

    def opened(self, host: Host) -> None:
        """Everything in it was read; what is under way is taken up (`Recovery.take_up`)."""
        for work in host.ledger.pending.values():
            message = msgspec.structs.replace(work.message)
            message.blocking, message.journalled = False, True
            if message.demand.kind == SEQUENCE:
                self.sequences[message.activation_id] = host, int(work.progress or b"0")
            elif message.node:
                self.pending[message.activation_id] = adopted = Pending(message, Phase.HANDED, announced=True)
                if self.look_at(adopted) is not Presence.GONE:
                    self.world.hand(self, message)
            else:
                taken = self.pending[message.activation_id] = Pending(message, Phase.ENDING)
                self._judge(taken, work.attempt)

    def lost(self, host: Host) -> None:
        self.hosts.pop(host.name, None)
        if self.own is host:
            self.own = None
        if self.world.registry.claims.get(host.name) == self.process:
            del self.world.registry.claims[host.name]
        for pending in [p for p in self.pending.values() if p.message.controller == host.name]:
            self._forget(pending)
        self.sequences = {id_: one for id_, one in self.sequences.items() if one[0] is not host}

    def retire(self, host: Host) -> None:
        if host is not self.own and host.is_idle:
            del self.hosts[host.name]
            self.world.registry.claims.pop(host.name, None)
            self.world.registry.retired[host.name] = self.world.now

    # -- calls ------------------------------------------------------------------------------------------------------

    def accept(self, *messages: ActivationMessage) -> None:
        """A caller who does not wait, or a fire. Without an answer in time it is told 503."""
        host = self.own
        if host is None or not host.is_open:
            return
        for message in messages:
            message.journalled, message.controller = True, ControllerId(host.name)

        def then(results: list[bool] | None) -> None:
            for message in messages if results is not None else ():
                self.world.accepted[message.activation_id] = message.stored
                if message.demand.kind == SEQUENCE:
                    self.sequences[message.activation_id] = host, 0
                else:
                    self.pending[message.activation_id] = Pending(message)

        host.append([Accepted(messages=tuple(msgspec.structs.replace(message) for message in messages))], then)

    def call(self, message: ActivationMessage) -> None:
        """A caller who waits."""
        if self.own is not None and self.own.is_open:
            message.blocking, message.controller = True, ControllerId(self.own.name)
            self.pending[message.activation_id] = Pending(message, waits=True)

    def keep(self, pending: Pending) -> None:
        """The caller has waited too long (`InvocationService._keep`)."""
        host, message = self.hosts.get(pending.message.controller), pending.message
        if not pending.waits or host is None:
            return
        pending.waits, message.journalled = False, True

        def then(results: list[bool] | None) -> None:
            if results is not None:
                self.world.accepted[message.activation_id] = message.stored

        host.append([Accepted(messages=(msgspec.structs.replace(message),))], then)

    # -- nodes --------------------------------------------------------------------------------------------------------

    def look(self) -> None:
        """See what the registry says now, and what follows from it."""
        self.view = self.world.registry.picture()
        for pending in list(self.pending.values()):
            if pending.phase is Phase.HANDED:
                self.look_at(pending)
        self.absent = {node: until for node, until in self.absent.items() if node not in self.view}

    def look_at(self, pending: Pending) -> Presence:
        message = pending.message
        now, known = self.view.get(message.node, (None, False))
        found = presence(message.incarnation, now, known=known)
        if found is Presence.ABSENT:
            until = self.absent.setdefault(message.node, self.world.now + LEASE_S)
            found = Presence.GONE if self.world.now >= until else found
        if found is Presence.GONE:
            pending.phase = Phase.ENDING
            self.node_lost(pending)
        return found

    def place(self, pending: Pending, node: str) -> None:
        """On a node that is up as far as we have seen."""
        incarnation, _ = self.view.get(node, (None, False))
        if pending.phase is not Phase.QUEUED or incarnation is None:
            return
        message = pending.message
        message.node, message.incarnation = NodeId(node), incarnation
        message.dispatch += 1
        message.tells_start = True
        pending.phase, pending.announced = Phase.HANDED, not message.journalled
        if not message.journalled:
            self.world.hand(self, message)
            return
        host, dispatch = self.hosts.get(message.controller), message.dispatch
        if host is None:
            self.refused(pending)
            return
        entry = Dispatched(
            activation_id=message.activation_id,
            node=message.node,
            incarnation=incarnation,
            dispatch=dispatch,
            attempt=message.attempt,
        )

        def then(results: list[bool] | None) -> None:
            if pending.phase is not Phase.HANDED or message.dispatch != dispatch:
                return
            if results is None:
                self._back(pending)
            elif not results[0]:
                pending.phase = Phase.ENDING
                self.refused(pending)
            else:
                pending.announced = True
                self.world.hand(self, message)

        host.append([entry], then)

    def remind(self, pending: Pending) -> None:
        if pending.phase is Phase.HANDED and pending.announced:
            self.world.hand(self, pending.message)

    def completed(self, answer: Completion | Returned, counted: bool) -> None:
        pending = self.pending.get(answer.activation_id)
        if pending is None:
            return
        handed = pending.phase is Phase.HANDED
        match meaning_of(answer, pending.message.dispatch, handed=handed, counted=counted):
            case Meaning.ENDED:
                assert isinstance(answer, Completion)
                self._resolve(pending, answer.record)
            case Meaning.NOT_STARTED:
                self._back(pending)
            case Meaning.LATE:
                pass

    def _back(self, pending: Pending) -> None:
        pending.message.node, pending.message.incarnation = NodeId(""), ""
        pending.phase = Phase.QUEUED

    def _resolve(self, pending: Pending, record: Activation) -> None:
        self.pending.pop(pending.message.activation_id, None)
        pending.phase = Phase.ENDING
        if pending.waits:
            pending.waits = False
            self.world.answer(record)

    def _forget(self, pending: Pending) -> None:
        self.pending.pop(pending.message.activation_id, None)
        pending.phase = Phase.ENDING
        if pending.waits:
            self.world.unanswered(pending.message.activation_id)

    # -- fences -------------------------------------------------------------------------------------------------------

    def _work(self, pending: Pending) -> Work | None:
        host = self.hosts.get(pending.message.controller)
        return None if host is None else host.ledger.pending.get(pending.message.activation_id)

    def node_lost(self, pending: Pending) -> None:
        """First everything that is in the log by now is read (`ControllerLog.read_up`), unless it is not ours any more."""
        host = self.hosts.get(pending.message.controller)
        if host is None:
            self._verdict(pending, is_read=False)
            return

        def then(results: list[bool] | None) -> None:
            if self.pending.get(pending.message.activation_id) is pending and pending.phase is Phase.ENDING:
                self._verdict(pending, is_read=results is not None)

        host.append([], then)

    def _verdict(self, pending: Pending, *, is_read: bool) -> None:
        message, work = pending.message, self._work(pending)
        host = self.hosts.get(message.controller)
        not_started = is_read and host is not None and host.ledger.has_not_started(message)
        self._judge(pending, message.attempt - not_started if work is None else work.attempt)

    def refused(self, pending: Pending) -> None:
        if self._work(pending) is None:
            self._forget(pending)
        else:
            self._verdict(pending, is_read=True)

    def _judge(self, pending: Pending, attempt: int) -> None:
        message = pending.message
        if judge(message, attempt, now_ms=0, max_age_s=_AGE_S) is not Verdict.RUN:
            pending.end = lost(message, "lost", now_ms=message.accepted_ms)
            self.end(pending)
            return
        if not message.journalled:
            message.journalled = True
            if attempt + 1 == message.attempt:
                self._back(pending)
            self.hosts[message.controller].append([Accepted(messages=(msgspec.structs.replace(message),))])
        message.attempt = attempt + 1
        self._back(pending)

    def end(self, pending: Pending) -> None:
        """Tried until the log has taken it, or something else."""
        message, record = pending.message, pending.end
        host = self.hosts.get(message.controller)
        if record is None or pending.asked or host is None or self.pending.get(message.activation_id) is not pending:
            return

        def then(results: list[bool] | None) -> None:
            pending.asked = False
            if results is not None and self.pending.get(message.activation_id) is pending:
                self._resolve(pending, record)  # what ended it was not a node, or we had been told: ours, now or before

        pending.asked = True
        stored = message.stored
        host.append([Settled(record=record) if stored else Discarded(activation_id=message.activation_id)], then)

    # -- sequences ------------------------------------------------------------------------------------------------------

    def note(self, id: ActivationId) -> None:
        host, step = self.sequences[id]

        def then(results: list[bool] | None) -> None:
            if results is not None and id in self.sequences:
                self.world.noted[id] = max(step + 1, self.world.noted.get(id, 0))
                self.sequences[id] = host, step + 1

        host.append([Noted(activation_id=id, progress=b"%d" % (step + 1))], then)

    def finish(self, id: ActivationId) -> None:
        host, step = self.sequences[id]
        assert step >= self.world.noted.get(id, 0), "what was noted is not forgotten"
        record = self.world.sequence_record(id, step)

        def then(results: list[bool] | None) -> None:
            if results is not None:
                self.sequences.pop(id, None)

        host.append([Settled(record=record)], then)

    # -- the recorder ---------------------------------------------------------------------------------------------------

    def record(self, record: Activation, stored: Callable[[], None]) -> None:
        known = self.unstored.setdefault(record.activation_id, Unstored(record))
        known.stored.append(stored)

    def put(self) -> None:
        """The store has them; the recorder has not heard it yet."""
        for one in self.unstored.values():
            self.world.store.setdefault(one.record.activation_id, one.record)
            one.is_put = True

    def stored(self) -> None:
        for id_, one in [(i, u) for i, u in self.unstored.items() if u.is_put]:
            del self.unstored[id_]
            for told in one.stored:
                told()
