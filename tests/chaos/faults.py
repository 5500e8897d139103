"""What can happen to a fleet, each fault with what brings it about and what an operator or a supervisor does then."""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from dataclasses import dataclass

from chaos.network import Cable
from crash import victims
from fleet.fleet import Fleet
from fleet.member import Member
from services.errors import Unavailable
from services.service import Service

_RESTART_S = (0.2, 2.0)
"""A supervisor starts what died after so long."""
_STARTS = 10
_PAUSE_S = (1.0, 8.0)
_CUT_S = (1.0, 8.0)


@dataclass
class Fault:
    """`kind` for the table, e.g. `controller killed`. `strike` returns when it has happened, `heal` when it is over."""

    kind: str
    victim: str
    strike: Callable[[], None]
    heal: Callable[[], None]


class Faults:
    """Makes faults for one fleet. Whoever is in trouble already is left alone until it is healed."""

    def __init__(self, fleet: Fleet, choice: random.Random) -> None:
        self._fleet = fleet
        self._choice = choice
        self._busy: set[str] = set()
        self._cables = {member.name: Cable(member.name) for member in fleet.members}
        for member in fleet.members:
            self._cables[member.name].plug(member.pid)

    def kinds(self) -> list[str]:
        killed = [f"{who} {how}" for who in ("controller", "invoker") for how in ("killed", "paused", "restarted", "cut off")]
        services = [f"{name} {how}" for name in self._fleet.services for how in ("killed", "paused", "restarted")]
        return [*killed, *services, "guest killed", "node killed"]

    def make(self, kind: str) -> Fault | None:
        """None if every possible victim is in trouble."""
        who, _, how = kind.partition(" ")
        if who == "guest":
            return Fault(kind, "guest", self._kill_guest, _nothing)
        names = {"controller": self._fleet.controllers, "invoker": self._fleet.invokers, "node": self._fleet.invokers}
        if who in names:
            free = [member for member in names[who] if member.name not in self._busy]
            if len(free) < 2:
                return None  # one of each stays, or there is nobody left to call
            return self._of_member(kind, self._choice.choice(free), how if who != "node" else "killed whole")
        service = self._fleet.services[who]
        if who in self._busy:
            return None
        return self._of_service(kind, who, service, how)

    def _of_member(self, kind: str, member: Member, how: str) -> Fault:
        self._busy.add(member.name)
        match how:
            case "killed":
                return self._fault(kind, member.name, member.kill, lambda: self._start(member))
            case "killed whole":
                return self._fault(kind, member.name, lambda: self._kill_node(member), lambda: self._start(member))
            case "restarted":
                return self._fault(kind, member.name, member.stop, lambda: self._start(member, at_once=True))
            case "paused":
                return self._fault(kind, member.name, member.pause, lambda: self._later(_PAUSE_S, member.resume))
            case _:
                cable = self._cables[member.name]
                return self._fault(kind, member.name, cable.cut, lambda: self._later(_CUT_S, cable.mend))

    def _of_service(self, kind: str, name: str, service: Service, how: str) -> Fault:
        self._busy.add(name)
        match how:
            case "killed":
                return self._fault(kind, name, service.kill, lambda: self._later(_RESTART_S, service.restart))
            case "restarted":
                return self._fault(kind, name, service.terminate, service.restart)
            case _:
                return self._fault(kind, name, service.pause, lambda: self._later(_PAUSE_S, service.resume))

    def _fault(self, kind: str, victim: str, strike: Callable[[], None], heal: Callable[[], None]) -> Fault:
        def healed() -> None:
            try:
                heal()
            finally:
                self._busy.discard(victim)

        return Fault(kind, victim, strike, healed)

    def _start(self, member: Member, *, at_once: bool = False) -> None:
        """As a supervisor does it: what ends because a service is away just then is started again."""
        if not at_once:
            time.sleep(self._choice.uniform(*_RESTART_S))
        for left in reversed(range(_STARTS)):
            member.launch()
            self._cables[member.name].plug(member.pid)
            try:
                member.wait_ready()
            except Unavailable:
                if member.running or not left:
                    raise
                time.sleep(_RESTART_S[1])
            else:
                return

    def _later(self, between_s: tuple[float, float], then: Callable[[], None]) -> None:
        time.sleep(self._choice.uniform(*between_s))
        then()

    def _kill_guest(self) -> None:
        pids = [pid for instance in victims.instances() for pid in victims.guests(instance)]
        victims.kill_one(pids, self._choice)

    def _kill_node(self, member: Member) -> None:
        """The machine dies: the invoker and everything that runs for it. Zygotes and guests end with their platform."""
        member.kill()

    def close(self) -> None:
        for cable in self._cables.values():
            cable.remove()


def _nothing() -> None:
    return None
