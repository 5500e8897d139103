"""A log in the hands of one controller of the model: the real `Ledger`, `Holds` and `Ownership`, read and written step by step."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from model.topics import Reading

from upwhisk.common.forms import Received
from upwhisk.common.ids import ActivationId, ControllerId
from upwhisk.common.messages import (
    STATES,
    TAKES_OVER,
    Accepted,
    Bundle,
    Completion,
    Discarded,
    Entry,
    Returned,
)
from upwhisk.common.spi.bus import controller_topic
from upwhisk.controller.delivery.beginnings import Begin, Beginnings
from upwhisk.controller.delivery.entries import is_withdrawn
from upwhisk.controller.delivery.holds import Holds
from upwhisk.controller.delivery.ledger import Applied, Ledger, carried, may_be_carried, retells
from upwhisk.controller.delivery.ownership import OWNED_S, Ownership

if TYPE_CHECKING:
    from model.controller import Controller

Then = Callable[[list[bool] | None], None]
"""Told what counted; None: it did not come back in time, or not for us."""


@dataclass
class Sent:
    at: float
    then: Then


class Host:
    def __init__(self, controller: Controller, name: str, reading: Reading) -> None:
        self.controller = controller
        self.world = controller.world
        self.name = name
        self.owner = ControllerId(f"{controller.process}/{self.world.unique()}")
        self.reading = reading
        self.ledger = Ledger()
        self.holds = Holds()
        self.ownership = Ownership(lambda: self.world.now)
        self.began_at = self.world.now
        self.is_open = False
        self.is_lost = False
        self.beginnings = Beginnings()
        self.number = 0
        self.waiting: dict[int, Sent] = {}
        self._write(Bundle(owner=self.owner, number=TAKES_OVER, word=self._says()))

    def _write(self, bundle: Bundle) -> None:
        self.world.bus.send(self.controller.process, controller_topic(self.name), bundle)

    def _says(self) -> int:
        word = self.ownership.says()
        self.beginnings.says(word, self.number)
        return word

    def append(self, entries: list[Entry], then: Then = lambda results: None, *, companion: int = -1) -> None:
        self.number += 1
        self.waiting[self.number] = Sent(self.world.now, then)
        if retells(entries):
            self.holds.retold()
            self.beginnings.retells(self.number, companion=companion)
        self._write(Bundle(owner=self.owner, number=self.number, entries=tuple(entries)))

    def state(self) -> None:
        self._write(Bundle(owner=self.owner, number=STATES, word=self._says()))

    def carry(self, ids: Iterable[ActivationId], *, behind_a_word: bool = True) -> None:
        works = [work for id_ in ids if (work := self.ledger.pending.get(id_)) is not None]
        entries: list[Entry] = [carried(work) for work in works if may_be_carried(work)]
        if entries and behind_a_word:
            self.state()
        if entries:
            self.append(entries, companion=self.ownership.last_word if behind_a_word else -1)

    def give_up_oldest(self) -> None:
        """It has waited for too long."""
        if self.waiting:
            self.waiting.pop(next(iter(self.waiting))).then(None)

    # -- reading ----------------------------------------------------------------------------------------------------

    def read(self) -> bool:
        if self.ownership.has_lapsed if self.is_open else self.world.now > self.began_at + OWNED_S:
            self.lose()
        delivery = None if self.is_lost else self.reading.step()
        if delivery is None:
            return False
        applied = self.ledger.apply(delivery.message, delivery.place)
        for id_ in applied.carried:
            self.holds.free(id_)
        if applied.states_owner:
            assert isinstance(delivery.message, Bundle)
            self.holds.keep_word(delivery, self._has_heard(delivery.message))
        else:
            self.holds.keep(delivery, applied.kept + applied.carried)
        for record in applied.recorded:
            self.controller.record(record, lambda id_=record.activation_id: self.holds.free(id_))  # type: ignore[misc]
        for id_ in applied.ended:
            self.holds.free(id_)
        self._tell(delivery.message, applied)
        return True

    def _tell(self, message: Received, applied: Applied) -> None:
        if isinstance(message, Completion | Returned):
            self.controller.completed(message, applied.counted)
        elif isinstance(message, Bundle):
            if message.owner == self.owner:
                self._came_back(message, applied)
            elif message.number == TAKES_OVER and self.is_open:
                self.lose()

    def _has_heard(self, word: Bundle) -> Begin:
        if word.owner != self.owner:
            return Begin.NO
        self.ownership.heard(word.word)
        begins = self.beginnings.heard(word.word)
        if word.number == TAKES_OVER:
            self.is_open = True
            self.controller.opened(self)
        return begins

    def _came_back(self, bundle: Bundle, applied: Applied) -> None:
        if bundle.number in (TAKES_OVER, STATES):
            return
        sent = self.waiting.pop(bundle.number, None)
        if applied.counted and (begins := self.beginnings.told(bundle.number, is_true=all(applied.results))) is not None:
            self.holds.decide(begins=begins)
        if not applied.counted:
            if sent is not None:
                sent.then(None)
        elif sent is None:
            self._withdraw(bundle)
        else:
            self.ownership.confirmed(sent.at)
            sent.then(applied.results)

    def _withdraw(self, bundle: Bundle) -> None:
        late = [m for entry in bundle.entries if isinstance(entry, Accepted) for m in entry.messages if is_withdrawn(m)]
        for id_ in [m.activation_id for m in late if m.activation_id in self.ledger.pending]:
            self.append([Discarded(activation_id=id_)])

    def lose(self) -> None:
        self.is_lost = True
        self.holds.released = True
        self.controller.lost(self)
        for sent in self.waiting.values():
            sent.then(None)
        self.waiting.clear()

    @property
    def is_idle(self) -> bool:
        return self.is_open and not self.ledger.pending and not len(self.holds) and not self.waiting
