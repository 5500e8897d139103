"""A node in the model: the real `Standing`, and the steps of `BusHandback` and `Runner` one by one."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum, auto
from typing import TYPE_CHECKING

from fakes.samples import record
from model.topics import ModelDelivery, Reading

from upwhisk.common.ids import NodeId
from upwhisk.common.messages import ActivationMessage, Begun, Completion, Returned
from upwhisk.common.spi.bus import controller_topic, node_topic
from upwhisk.invoker.standing import Standing, Take

if TYPE_CHECKING:
    from model.world import World

LEASE_S = 3.0


class At(Enum):
    """What comes next. `ON_ITS_WAY`: an answer is."""

    TAKEN = auto()
    RETURNING = auto()
    ON_ITS_WAY = auto()
    CHECK = auto()
    RUN = auto()
    COMPLETE = auto()


@dataclass(eq=False)
class Life:
    delivery: ModelDelivery
    message: ActivationMessage
    at: At


@dataclass(eq=False)
class Heartbeat:
    sent_at: float
    incarnation: str
    is_heard: bool = False


class Node:
    def __init__(self, world: World, name: str) -> None:
        self.world = world
        self.name = name
        self.starts = 0
        self.start()

    def start(self) -> None:
        self.starts += 1
        self.process = f"{self.name}{self.starts}"
        self.standing = Standing(LEASE_S, lambda: self.world.now, self.process)
        self.lives: list[Life] = []
        self.heartbeats: list[Heartbeat] = []
        self.returns = False
        topic = self.world.bus.topic(node_topic(self.name))
        self.reading = Reading(topic, topic.marks[-1])

    def crash(self) -> None:
        self.world.bus.sender_died(self.process)
        self.start()

    # -- membership -------------------------------------------------------------------------------------------------

    def beat(self) -> None:
        self.standing.lapse()
        self.heartbeats = [Heartbeat(self.world.now, self.standing.incarnation)]

    def heartbeat_is_heard(self) -> None:
        if self.heartbeats and not self.heartbeats[0].is_heard:
            self.heartbeats[0].is_heard = True
            self.world.registry.hear(self.name, self.heartbeats[0].incarnation)

    def heartbeat_is_confirmed(self) -> None:
        if self.heartbeats and self.heartbeats[0].is_heard:
            self.standing.renewed(self.heartbeats.pop().sent_at)

    # -- work ---------------------------------------------------------------------------------------------------------

    def take(self) -> bool:
        delivery = self.reading.step()
        if delivery is None:
            return False
        message = delivery.message
        assert isinstance(message, ActivationMessage)
        take = self.standing.take(message)
        if take is Take.DROP:
            delivery.done()
        else:
            returned = take is Take.RETURN or self.returns
            self.lives.append(Life(delivery, message, At.RETURNING if returned else At.TAKEN))
        return True

    def step(self, life: Life) -> bool:
        """Whether it came any further."""
        message, before = life.message, life.at
        match life.at:
            case At.TAKEN:
                self._begin(life)
            case At.CHECK:
                life.at = At.RUN if self.standing.may_start(message) else At.RETURNING
            case At.RUN:
                self.world.ran(message, self.process)
                life.at = At.COMPLETE
            case At.COMPLETE:
                self._answer(life, self._completion(message), None)
            case At.RETURNING:
                fields = {"activation_id": message.activation_id, "attempt": message.attempt, "dispatch": message.dispatch}
                self._answer(life, Returned(node=NodeId(self.name), reason="", **fields), None)  # type: ignore[arg-type]
            case At.ON_ITS_WAY:
                pass
        return life.at is not before

    def _begin(self, life: Life) -> None:
        message, standing = life.message, self.standing
        if standing.is_of_now(message) and not standing.is_member:
            return  # it waits
        if not standing.may_start(message):
            life.at = At.RETURNING
        else:
            fields = {"activation_id": message.activation_id, "attempt": message.attempt, "dispatch": message.dispatch}
            self._answer(life, Begun(node=NodeId(self.name), **fields), At.CHECK)  # type: ignore[arg-type]

    def _answer(self, life: Life, answer: Begun | Completion | Returned, then: At | None) -> None:
        def arrived() -> None:
            if then is not None:
                life.at = then
                return
            self.lives.remove(life)
            life.delivery.done()
            self.standing.finished(life.message)

        life.at = At.ON_ITS_WAY
        topic = controller_topic(life.message.controller)
        self.world.answers.append((topic, answer))
        self.world.bus.send(self.process, topic, answer, arrived)

    def _completion(self, message: ActivationMessage) -> Completion:
        return Completion(
            activation_id=message.activation_id,
            node=NodeId(self.name),
            attempt=message.attempt,
            dispatch=message.dispatch,
            record=record(message.activation_id, result={"by": f"{self.process} {message.dispatch}"}),
            stored=message.stored,
            journalled=message.journalled,
        )
