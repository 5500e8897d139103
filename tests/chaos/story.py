"""A steady load and one fault after the other, a third of them in the midst of another's recovery; then a look at every promise."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import random
import sys
import threading
import time
from collections import Counter, defaultdict
from dataclasses import dataclass, field

from chaos.aftermath import Aftermath
from chaos.faults import Fault, Faults
from chaos.load import FleetLoad
from chaos.platform import ChaosFleet
from chaos.probe import Probe
from chaos.turns import Turns
from crash.asking import Records
from crash.load import Given
from crash.outside import Effects
from crash.verdict import Seen, kinds, violations

RECOVERED_S = 60.0
_QUIET_S = 60.0
_LISTED_EVERY = 5
_BETWEEN_S = (0.2, 1.5)
_PACE_S = 0.25
"""How long each caller rests between two calls: the stand-in takes some milliseconds of a core to index a record."""
EXCUSES = (
    "on a node that was lost",
    "to a node that was lost",
    "on nodes that were lost",
    "was stopped; it is not annotated retry-safe, so it was not run again.",
    "Action could not be fetched.",
    "Failed to provision resources to run the action.",
)
"""What an activation may end with whose node, container or store was taken away."""


@dataclass
class Tally:
    faults: Counter[str] = field(default_factory=Counter)
    recovery_s: dict[str, list[float]] = field(default_factory=lambda: defaultdict(list))
    in_recovery: int = 0
    ids: int = 0
    broken: int = 0
    answers: Counter[str] = field(default_factory=Counter)
    refused: Counter[str] = field(default_factory=Counter)
    ends: Counter[str] = field(default_factory=Counter)
    violations: list[str] = field(default_factory=list)


class Story:
    """Repeatable by `seed` as far as the machine's own timing is."""

    def __init__(self, fleet: ChaosFleet, effects: Effects, *, seed: str) -> None:
        self._fleet = fleet
        self._effects = effects
        self._choice = random.Random(seed)
        self._seed = seed
        self._probe = Probe(fleet)
        self.tally = Tally()

    def play(self, rounds: int, only: list[str] | None = None) -> Tally:
        """Each kind of fault strikes `rounds` times; Ctrl-C ends them before their time."""
        maker = Faults(self._fleet, self._choice)
        began_ms = int(time.time() * 1000)
        load = FleetLoad(self._fleet.urls, self._fleet.key, self._seed, callers=16, pace_s=_PACE_S)
        load.start()
        try:
            self._strike(maker, Turns(only or maker.kinds(), rounds, self._choice))
        except KeyboardInterrupt:
            print("no more faults: what was promised so far is looked at", file=sys.stderr, flush=True)
            if not self._probe.wait_well(RECOVERED_S):
                self.tally.violations.append(f"not well {RECOVERED_S:.0f} s after the last fault: {self._probe.last}")
        finally:
            book = load.stop()
            maker.close()
        tally = self.tally
        tally.ids, tally.broken, tally.refused = len(book), load.broken, book.refused
        tally.answers.update(f"{one.what} {one.status}" for one in book.given)
        self._look(book.given, began_ms)
        return tally

    def _strike(self, maker: Faults, turns: Turns) -> None:
        of = len(turns)
        for number in itertools.count():
            first = turns.first(maker.make)
            if first is None:
                break
            self._one(first, turns.second(maker.make), of)
            if number % _LISTED_EVERY == 0:
                self._list()
            time.sleep(self._choice.uniform(*_BETWEEN_S))

    def _list(self) -> None:
        """The stand-in indexes when somebody lists: all of a storm at its end would take it minutes."""
        with contextlib.suppress(OSError):
            self._fleet.client.call("GET", "/_/activations?limit=1")

    def _one(self, fault: Fault, second: Fault | None, of: int) -> None:
        began = time.monotonic()
        self._count(fault)
        fault.strike()
        healing = threading.Thread(target=fault.heal, name="heal")
        healing.start()
        if second is not None:
            time.sleep(self._choice.uniform(0.1, 1.0))
            self.tally.in_recovery += 1
            self._count(second)
            second.strike()
            second.heal()
        healing.join(RECOVERED_S)
        if not self._probe.wait_well(RECOVERED_S):
            self.tally.violations.append(f"not well {RECOVERED_S:.0f} s after '{fault.kind}' ({fault.victim}): {self._probe.last}")
        took = time.monotonic() - began
        self.tally.recovery_s[fault.kind if second is None else "two at once"].append(round(took, 2))
        struck = f"{fault.kind} ({fault.victim})" + (f", {second.kind} ({second.victim})" if second is not None else "")
        print(f"{sum(self.tally.faults.values()):>4} of {of}  {struck}: well again after {took:.1f} s", file=sys.stderr, flush=True)

    def _count(self, fault: Fault) -> None:
        self.tally.faults[fault.kind] += 1

    def _look(self, given: list[Given], began_ms: int) -> None:
        """Every promise, when all that was accepted has had the time to end."""
        tally = self.tally
        ids = [one.id for one in given]
        got, listed = asyncio.run(Records(self._fleet).read(ids, began_ms - 1000))
        seen = Seen(given, got, listed, len(given), 1000, True, EXCUSES)
        tally.violations += violations(seen, self._effects.runs.copy())
        tally.ends = kinds(got.values())
        tally.violations += Aftermath(self._fleet).findings(_QUIET_S)
