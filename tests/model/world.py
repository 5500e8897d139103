"""The whole fleet of the model, what the outside was told, and what happened in truth."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field
from itertools import count

import msgspec
from fakes.samples import message, record
from model.controller import Controller
from model.node import LEASE_S, Node
from model.topics import Bus

from upwhisk.common.ids import ActivationId
from upwhisk.common.messages import ActivationMessage, Begun, Completion, Demand, Returned
from upwhisk.common.model.action import SEQUENCE
from upwhisk.common.model.activation import Activation
from upwhisk.common.spi.bus import controller_topic, node_topic
from upwhisk.controller.delivery.ownership import REMOVED_AFTER_S

MOST_ATTEMPTS = 3


@dataclass
class Member:
    incarnation: str
    heard_at: float
    is_down: bool = False


class Registry:
    """Rules of `NodeRegistry`: nobody is down before its lease has passed; `forget` is what an operator may do."""

    def __init__(self, world: World) -> None:
        self._world = world
        self.members: dict[str, Member] = {}
        self.claims: dict[str, str] = {}
        self.retired: dict[str, float] = {}
        """Logs that are nobody's to take over -> since when."""

    def hear(self, node: str, incarnation: str) -> None:
        self.members[node] = Member(incarnation, self._world.now)

    def give_up(self, node: str) -> None:
        member = self.members.get(node)
        if member is not None and self._world.now >= member.heard_at + LEASE_S:
            member.is_down = True

    def forget(self, node: str) -> None:
        self.members.pop(node, None)

    def picture(self) -> dict[str, tuple[str | None, bool]]:
        return {name: (None if m.is_down else m.incarnation, True) for name, m in self.members.items()}


@dataclass
class Ran:
    process: str
    dispatch: int
    attempt: int


@dataclass
class World:
    """`accepted`: ids that somebody was given -> whether a record is to be kept; `answered`: records that callers were given;
    `noted`: progress that was safe."""

    now: float = 1000.0
    bus: Bus = field(default_factory=Bus)
    store: dict[ActivationId, Activation] = field(default_factory=dict)
    accepted: dict[ActivationId, bool] = field(default_factory=dict)
    answered: dict[ActivationId, Activation] = field(default_factory=dict)
    noted: dict[ActivationId, int] = field(default_factory=dict)
    messages: dict[ActivationId, ActivationMessage] = field(default_factory=dict)
    effects: dict[ActivationId, list[Ran]] = field(default_factory=lambda: defaultdict(list))
    answers: list[tuple[str, Begun | Completion | Returned]] = field(default_factory=list)
    handed: list[tuple[str, ActivationMessage]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._numbers = count(1)
        self.registry = Registry(self)
        self.nodes = [Node(self, name) for name in ("a", "b")]
        self.controllers = [Controller(self, name) for name in ("x", "y", "z")]

    def unique(self) -> int:
        return next(self._numbers)

    def work(self, *, retry_safe: bool = False, stored: bool = True, sequence: bool = False) -> ActivationMessage:
        made = message(ActivationId(f"{self.unique():032x}"))
        made.retry_safe, made.stored = retry_safe, stored
        if sequence:
            made.demand = Demand(kind=SEQUENCE, memory_mb=256, timeout_ms=60_000)
        self.messages[made.activation_id] = made
        return made

    def sequence_record(self, id: ActivationId, step: int) -> Activation:
        return record(id, result={"steps": step})

    # -- what happens -------------------------------------------------------------------------------------------------

    def hand(self, controller: Controller, message: ActivationMessage) -> None:
        self.handed.append((node_topic(message.node), msgspec.structs.replace(message)))
        self.bus.send(controller.process, node_topic(message.node), message)

    def ran(self, message: ActivationMessage, process: str) -> None:
        """The side effect."""
        runs = self.effects[message.activation_id]
        runs.append(Ran(process, message.dispatch, message.attempt))
        assert message.retry_safe or len(runs) == 1, f"ran twice: {runs}"
        assert len(runs) <= MOST_ATTEMPTS, f"ran too often: {runs}"

    def answer(self, record: Activation) -> None:
        self.answered[record.activation_id] = record

    def unanswered(self, id: ActivationId) -> None:
        """Its caller got no answer, and no id."""

    # -- what is moved by rules -----------------------------------------------------------------------------------------

    def up(self) -> list[Controller]:
        return [each for each in self.controllers if each.is_up]

    def orphans(self) -> list[str]:
        topics = [name for name, topic in self.bus.topics.items() if topic.exists]
        logs = [name.removeprefix(controller_topic("")) for name in topics if name.startswith(controller_topic(""))]
        return [name for name in logs if name not in self.registry.claims and name not in self.registry.retired]

    def sweep(self) -> None:
        """Topics of logs that were retired long ago; what comes later makes them anew, as a log like any other."""
        for name in [name for name, since in self.registry.retired.items() if self.now - since > REMOVED_AFTER_S]:
            del self.registry.retired[name]
            self.bus.remove(controller_topic(name))

    def claims_of(self, process: str) -> list[str]:
        return [name for name, owner in self.registry.claims.items() if owner == process]
