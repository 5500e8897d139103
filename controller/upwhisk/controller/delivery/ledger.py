"""What a controller's log says, entry by entry: which work is under way, where, and how it ended. Pure.

The log is one ordered topic. Its owner writes bundles, nodes write starts and outcomes. Everybody who reads it from the
same place comes to the same state, so an owner needs no other memory, and whoever takes the log over goes on from it.

Rules, in the order of the log:
* A bundle counts only if it is of the last owner. Taking over makes its writer the owner. Owners say again who they are
  now and then, so that a reader who does not begin at the beginning knows it: what has to be read begins with such a word.
  The beginning of a topic is a taking over; else it was removed and made anew by what came late, and that counts for nothing.
* Work is accepted once; the first outcome that counts ends it, and every later one is dropped.
* A start, a return or an outcome counts only for the last hand-over (`dispatch`): a new one fences the earlier ones off.
* A hand-over counts only if the start it is for has not happened by then: its writer may not have read that yet.
* An outcome of work that was never accepted (somebody waited for it) counts, once.
* A start or an outcome in a form that is not read counts as a start: how it ended is for the owner to say.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import TypeVar

import msgspec

from upwhisk.common.forms import Received, Unreadable
from upwhisk.common.ids import ActivationId, ControllerId, NodeId
from upwhisk.common.messages import (
    STATES,
    TAKES_OVER,
    Accepted,
    ActivationMessage,
    Begun,
    Bundle,
    Carried,
    Completion,
    Discarded,
    Dispatched,
    Entry,
    Noted,
    Returned,
    Settled,
)
from upwhisk.common.model.activation import Activation

T = TypeVar("T")

_STARTED = frozenset({"begun", "completion"})
REMEMBERED = 100_000
"""Ids that ended, kept to drop what comes late. Beyond them the document's own id allows one record only."""


@dataclass(slots=True)
class Work:
    """Accepted and not ended. `message` says to whom it was handed last; `attempt` is the last one that started, 0 if
    none; `begun`: the last hand-over has started."""

    message: ActivationMessage
    attempt: int = 0
    begun: bool = False
    progress: bytes | None = None


@dataclass(slots=True)
class Applied:
    """What one message of the log did. `results`: for each entry of a bundle, whether it counted. `kept`: ids whose state
    depends on this message from now on; `carried`: those for which it replaces all earlier ones. `recorded` has to be
    stored; `ended`: ids that are done without a record. `states_owner`: it says whose the log is."""

    counted: bool
    results: list[bool] = field(default_factory=list)
    kept: list[ActivationId] = field(default_factory=list)
    carried: list[ActivationId] = field(default_factory=list)
    recorded: list[Activation] = field(default_factory=list)
    ended: list[ActivationId] = field(default_factory=list)
    states_owner: bool = False


class Ledger:
    def __init__(self) -> None:
        self.owner = ControllerId("")
        self._whole: bool | None = None
        """Whether reading began at the beginning of the topic."""
        self.pending: dict[ActivationId, Work] = {}
        self._ended: OrderedDict[ActivationId, None] = OrderedDict()
        self._returned_before: OrderedDict[ActivationId, tuple[int, bool]] = OrderedDict()
        """Hand-overs that a node gave back whose work was not accepted by then, but may be; and whether it had started."""
        self._begun_before: OrderedDict[ActivationId, int] = OrderedDict()
        """Hand-overs that a node has started of such work. Only for its owner: who takes the log over knows nothing of it."""

    def apply(self, message: Received, place: int) -> Applied:
        """`place`: of the message in the topic, 0 is its first."""
        if self._whole is None:
            self._whole = place == 0
        match message:
            case Bundle():
                return self._bundle(message)
            case Completion():
                return self._completion(message)
            case Begun():
                return self._one(message, self._begun(message))
            case Returned():
                return self._one(message, self._returned(message))
            case Unreadable():
                return self._one(message, self._unread(message))
            case ActivationMessage():
                return Applied(counted=False)

    def _one(self, message: Begun | Returned | Unreadable, counted: bool) -> Applied:
        return Applied(counted, kept=[message.activation_id] if counted else [])

    # -- what nodes say -------------------------------------------------------------------------------------------

    def _begun(self, begun: Begun | Unreadable) -> bool:
        work = self.pending.get(begun.activation_id)
        if work is None:
            self._begins_unaccepted(begun)
        if work is None or (begun.dispatch and begun.dispatch != work.message.dispatch):
            return False
        work.begun = True
        work.attempt = max(work.attempt, begun.attempt)
        return True

    def _begins_unaccepted(self, begun: Begun | Unreadable) -> None:
        id_ = begun.activation_id
        if id_ not in self._ended:
            _remember(self._begun_before, id_, max(begun.dispatch, self._begun_before.get(id_, 0)))

    def _unread(self, message: Unreadable) -> bool:
        """An owner's entries of such a form do not come here: nothing after them can be judged (`log.py`)."""
        if message.type == "returned":
            return self._returned(message)
        return message.type in _STARTED and self._begun(message)

    def _returned(self, returned: Returned | Unreadable) -> bool:
        """The node's last word of that hand-over: it has not started it and will not, though it may have been about to. Or it
        has broken it off."""
        work = self.pending.get(returned.activation_id)
        was_started = isinstance(returned, Returned) and returned.started
        if work is None:
            before = self._returned_before.get(returned.activation_id, (0, False))
            _remember(self._returned_before, returned.activation_id, max(before, (returned.dispatch, was_started)))
            return False
        if returned.dispatch != work.message.dispatch:
            return False
        if work.begun and not was_started:
            work.attempt = min(work.attempt, returned.attempt - 1)
        work.begun = False
        work.message.node, work.message.incarnation = NodeId(""), ""
        return True

    def has_not_started(self, message: ActivationMessage) -> bool:
        """Whether this hand-over, of work that nobody has accepted by now, has not started as far as the log goes: its node
        says that it will not, or would have said that it does."""
        id_, dispatch = message.activation_id, message.dispatch
        if id_ in self.pending:
            return False
        is_silent = message.tells_start and self._begun_before.get(id_) != dispatch
        return is_silent or self._returned_before.get(id_) == (dispatch, False)

    def _completion(self, completion: Completion) -> Applied:
        id_ = completion.activation_id
        work = self.pending.get(id_)
        if id_ in self._ended or (work is not None and completion.dispatch != work.message.dispatch):
            return Applied(counted=False)
        if work is None and completion.journalled:
            return Applied(counted=False)  # it was accepted, so it has ended, or is carried further on with a later hand-over
        applied = Applied(counted=True)
        self._end(id_, completion.record if completion.stored else None, applied)
        return applied

    # -- what owners say ------------------------------------------------------------------------------------------

    def _bundle(self, bundle: Bundle) -> Applied:
        if bundle.number == TAKES_OVER or (bundle.number == STATES and not self.owner and not self._whole):
            self.owner = bundle.owner
        elif bundle.owner != self.owner:
            return Applied(counted=False)
        if bundle.number in (TAKES_OVER, STATES):
            return Applied(counted=True, states_owner=True)
        applied = Applied(counted=True)
        for entry in bundle.entries:
            applied.results.append(self._entry(entry, applied))
        return applied

    def _entry(self, entry: Entry, applied: Applied) -> bool:
        match entry:
            case Accepted():
                return self._accepted(entry, applied)
            case Carried():
                return self._carried(entry, applied)
            case Settled():
                return self._settle(entry.record.activation_id, entry.record, applied)
            case Discarded():
                return self._settle(entry.activation_id, None, applied)
            case Dispatched() | Begun() | Noted():
                counted = self._changed(entry)
                if counted:
                    applied.kept.append(entry.activation_id)
                return counted

    def _changed(self, entry: Dispatched | Begun | Noted) -> bool:
        if isinstance(entry, Begun):
            return self._begun(entry)
        work = self.pending.get(entry.activation_id)
        if work is None:
            return False
        if isinstance(entry, Noted):
            work.progress = entry.progress
            return True
        if entry.dispatch <= work.message.dispatch or entry.attempt <= work.attempt:
            return False
        work.message.node, work.message.incarnation = entry.node, entry.incarnation
        work.message.dispatch = entry.dispatch
        work.begun = False
        return True

    def _accepted(self, entry: Accepted, applied: Applied) -> bool:
        for message in entry.messages:
            id_ = message.activation_id
            if id_ in self.pending or id_ in self._ended:
                continue
            self.pending[id_] = work = Work(msgspec.structs.replace(message), message.attempt - 1)
            returned, was_started = self._returned_before.get(id_, (-1, False))
            if returned == message.dispatch:
                work.message.node, work.message.incarnation = NodeId(""), ""
                work.attempt += was_started
            elif message.node:  # it may have started: nodes do not say so of what nobody had accepted
                work.attempt, work.begun = message.attempt, True
            applied.kept.append(id_)
        for record in entry.records:
            self._settle(record.activation_id, record, applied)
        return True

    def _carried(self, entry: Carried, applied: Applied) -> bool:
        """It counts if it says what is true at its place; else something happened on its way, and its time comes again."""
        id_ = entry.message.activation_id
        work = self.pending.get(id_)
        if id_ in self._ended or (work is not None and _state(entry) != _state(work)):
            return False
        self.pending[id_] = Work(
            msgspec.structs.replace(entry.message), entry.attempt, begun=entry.begun, progress=entry.progress
        )
        applied.carried.append(id_)
        return True

    def _settle(self, id: ActivationId, record: Activation | None, applied: Applied) -> bool:
        if id in self._ended:
            return False
        self._end(id, record, applied)
        return True

    def _end(self, id: ActivationId, record: Activation | None, applied: Applied) -> None:
        self.pending.pop(id, None)
        self._begun_before.pop(id, None)
        _remember(self._ended, id, None)
        applied.kept.append(id)
        if record is None:
            applied.ended.append(id)
        else:
            applied.recorded.append(record)


def _remember(ids: OrderedDict[ActivationId, T], id: ActivationId, what: T) -> None:
    ids[id] = what
    if len(ids) > REMEMBERED:
        ids.popitem(last=False)


def _state(work: Work | Carried) -> tuple[object, ...]:
    """What changes while it is under way."""
    message = work.message
    return message.dispatch, message.node, message.incarnation, work.attempt, work.begun, work.progress


def retells(entries: Iterable[Entry]) -> bool:
    """Whether one of them says what was known of work that others may have ended by then."""
    return any(
        isinstance(entry, Carried) or (isinstance(entry, Accepted) and any(m.node for m in entry.messages))
        for entry in entries
    )


def may_be_carried(work: Work) -> bool:
    """Not what somebody waited for: outcomes of its former hand-overs would count for who has not read its acceptance."""
    return not work.message.blocking


def carried(work: Work) -> Carried:
    """All that is known of it now."""
    message = msgspec.structs.replace(work.message)
    return Carried(message=message, attempt=work.attempt, begun=work.begun, progress=work.progress)
