"""What one placement decision costs, by policy and by the number of nodes.

A simulated fleet: 10 % of the nodes take no work, 60 % are full, the rest is loaded at random; every node holds some
actions warm. Between two decisions the books change: what was decided is booked, another permit comes back, and now and
then a report says something new. The figures are those of `place` alone, with bringing its index up to date.
"""

from __future__ import annotations

import random
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from time import perf_counter_ns
from typing import Any

import msgspec
from report import Bar, finish, percentile, table

from upwhisk.backends.nodes.memory import MemoryRegistry
from upwhisk.common.ids import NodeId
from upwhisk.common.messages import Demand
from upwhisk.common.spi.nodes import NodeReport, NodeState, Watcher
from upwhisk.loadbalancer.books import Permit
from upwhisk.loadbalancer.nodeview import NodeView
from upwhisk.loadbalancer.placement import POLICIES, Request, place

_SIZES = (1, 10, 100, 1_000, 10_000)
_DECISIONS = 3_000
_KINDS = (("nodejs:20", "python:3.11"), ("nodejs:20", "python:3.11", "python:3.13"), ("python:3.11",))
_REFUSING = [state for state in NodeState if state is not NodeState.HEALTHY]
_WARM = 20
Microseconds = list[float]


def _requests(luck: random.Random) -> list[Request]:
    """400 actions of 40 namespaces; one in eight shares containers."""
    made = []
    for number in range(400):
        namespace = f"space{number % 40}"
        demand = Demand(
            kind=luck.choice(["python:3.11"] * 3 + ["nodejs:20"]),
            memory_mb=luck.choice([128, 256, 256, 256, 512]),
            timeout_ms=60_000,
            concurrency=10 if number % 8 == 0 else 1,
        )
        made.append(Request((namespace, f"{namespace}/action{number}", "1-abc"), demand))
    return made


class Registry(MemoryRegistry):
    """Holds the reports and tells them all with each change, as registries do."""

    def __init__(self, reports: list[NodeReport]) -> None:
        super().__init__()
        self.reports = reports
        self.watcher: Watcher = lambda reports: None

    def watch(self, watcher: Watcher) -> Callable[[], None]:
        self.watcher = watcher
        watcher(tuple(self.reports))
        return lambda: None


@dataclass
class Simulation:
    count: int
    luck: random.Random = field(default_factory=lambda: random.Random(7))
    permits: list[Permit] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.requests = _requests(self.luck)
        self.registry = Registry([self._report(number) for number in range(self.count)])
        self.view = NodeView(self.registry)
        self.view.start(lambda: None)
        self._load()

    def _report(self, number: int) -> NodeReport:
        luck = self.luck
        refuses = self.count > 1 and luck.random() < 0.1
        return NodeReport(
            node=NodeId(f"board{number:05}"),
            memory_mb=luck.choice([2048, 4096, 4096, luck.randrange(1500, 16_000)]),
            cores=4.0,
            kinds=luck.choice(_KINDS) if self.count > 1 else _KINDS[0],
            warm=tuple(request.warm_key for request in luck.sample(self.requests, _WARM)),
            state=luck.choice(_REFUSING) if refuses else NodeState.HEALTHY,
            reason="simulated" if refuses else "",
            headroom={10: 3.5, 60: 3.0, 600: 2.0},
        )

    def _load(self) -> None:
        for node in self.view.nodes:
            full = self.count > 1 and self.luck.random() < 0.6
            until_mb = node.book.memory_mb if full else self.luck.uniform(0, 0.8) * node.book.memory_mb
            refused = 0
            while node.book.used_mb < until_mb and refused < 5:
                request = self.luck.choice(self.requests)
                permit = node.book.take(request.key, request.demand)
                refused += permit is None
                self.permits += [permit] if permit is not None else []

    def decide(self, policy: str, choose: Callable[[], Request], decisions: int = _DECISIONS) -> Microseconds:
        """Decide, book, give another permit back."""
        view, luck, permits = self.view, self.luck, self.permits
        took: Microseconds = []
        for number in range(decisions + 100):
            request = choose()
            began = perf_counter_ns()
            decision = place(view.fleet, request, policy)
            took.append((perf_counter_ns() - began) / 1000)
            if decision.node is not None:
                permit = view.book(decision.node).take(request.key, request.demand)
                assert permit is not None, "what is decided can be taken"
                permits.append(permit)
            self._give_back(luck)
            if number % 50 == 0:
                self.tell_news()
        return took[100:]

    def _give_back(self, luck: random.Random) -> None:
        index = luck.randrange(len(self.permits))
        self.permits[index], self.permits[-1] = self.permits[-1], self.permits[index]
        self.permits.pop().release()

    def tell_news(self) -> float:
        """One node holds other actions warm than before; how long the view took to know, us."""
        reports = self.registry.reports
        index = self.luck.randrange(len(reports))
        warm = tuple(request.warm_key for request in self.luck.sample(self.requests, _WARM))
        reports[index] = msgspec.structs.replace(reports[index], warm=warm)
        whole = tuple(reports)
        began = perf_counter_ns()
        self.registry.watcher(whole)
        return (perf_counter_ns() - began) / 1000

    def any_request(self) -> Request:
        return self.luck.choice(self.requests)


def _hard_cases(count: int) -> dict[str, Microseconds]:
    """Fleets that an index has to be made for: each policy's decisions together."""
    found: dict[str, Microseconds] = {}
    simulation = Simulation(count)
    while (node := place(simulation.view.fleet, (request := simulation.any_request()), "spread").node) is not None:
        simulation.permits.append(simulation.view.book(node).force(request.key, request.demand))
    found["every node full"] = _of_all(simulation, simulation.any_request)
    for title, policy, share in (("one action fills what is left, hash", "hash", 0.9), ("the same, warm", "warm", 0.9)):
        found[title] = _one_action(Simulation(count), policy, share)
    found["one namespace at its share everywhere"] = _at_share(Simulation(count))
    return found


def _of_all(simulation: Simulation, choose: Callable[[], Request]) -> Microseconds:
    return [one for policy in POLICIES for one in simulation.decide(policy, choose, _DECISIONS // 5)]


def _one_action(simulation: Simulation, policy: str, share: float) -> Microseconds:
    """An action nobody holds warm takes `share` of the room there is, from its home on; then the books change."""
    request = Request(("space0", "space0/hot", "1-abc"), Demand(kind="python:3.11", memory_mb=256, timeout_ms=60_000))
    room = sum(max(0, node.book.free_mb) for node in simulation.view.nodes if node.pool is not None) // 256
    for _ in range(int(room * share)):
        node = place(simulation.view.fleet, request, policy).node
        if node is None:
            break
        simulation.permits.append(simulation.view.book(node).force(request.key, request.demand))
    return simulation.decide(policy, lambda: request)


def _at_share(simulation: Simulation) -> Microseconds:
    for permit in simulation.permits:
        permit.release()
    simulation.permits.clear()
    request = Request(("space0", "space0/hot", "1-abc"), Demand(kind="python:3.11", memory_mb=128, timeout_ms=60_000))
    for node in simulation.view.nodes:
        while (taken := node.book.take(request.key, request.demand)) is not None:
            simulation.permits.append(taken)
    return _of_all(simulation, lambda: request)


def _news(count: int) -> dict[str, Microseconds]:
    """One changed report among all, once as the same objects and once decoded anew, as from the network."""
    simulation = Simulation(count)
    decoder = msgspec.json.Decoder(tuple[NodeReport, ...])
    anew: Microseconds = []
    for _ in range(100):
        simulation.tell_news()
        index = simulation.luck.randrange(count)
        simulation.registry.reports[index] = msgspec.structs.replace(simulation.registry.reports[index], warm=())
        reports = decoder.decode(msgspec.json.encode(simulation.registry.reports))
        began = perf_counter_ns()
        simulation.registry.watcher(reports)
        anew.append((perf_counter_ns() - began) / 1000)
    return {"the same objects": [simulation.tell_news() for _ in range(200)], "decoded anew": anew}


def _booking(count: int) -> Microseconds:
    simulation = Simulation(count)
    took: Microseconds = []
    for _ in range(_DECISIONS):
        request = simulation.any_request()
        book = simulation.luck.choice(simulation.view.nodes).book
        began = perf_counter_ns()
        permit = book.take(request.key, request.demand)
        if permit is not None:
            permit.release()
        took.append((perf_counter_ns() - began) / 1000)
        simulation.view.fleet.flush()
    return took


def _look_at_all(count: int) -> Microseconds:
    """The yardstick: asking every book, without choosing."""
    simulation = Simulation(count)
    took: Microseconds = []
    for _ in range(50):
        request = simulation.any_request()
        began = perf_counter_ns()
        for node in simulation.view.nodes:
            node.book.refusal(request.key, request.demand)
        took.append((perf_counter_ns() - began) / 1000)
    return took


def _shown(values: Microseconds) -> dict[str, float]:
    return {f"p{share:g}": round(percentile(values, share), 2) for share in (50, 90, 99)} | {"max": round(max(values), 2)}


def main() -> int:
    figures: dict[str, Any] = {"us": {}, "hard_us": {}, "news_us": {}}
    for policy in POLICIES:
        for count in _SIZES:
            simulation = Simulation(count)
            figures["us"].setdefault(policy, {})[str(count)] = _shown(simulation.decide(policy, simulation.any_request))
    heads = ["policy", *(f"{count:,} {what}" for count in _SIZES for what in ("p50", "p99"))]
    rows = [[policy, *(of[str(n)][what] for n in _SIZES for what in ("p50", "p99"))] for policy, of in figures["us"].items()]
    print("one decision by the number of nodes, us\n" + table(heads, rows))
    largest = _SIZES[-1]
    figures["hard_us"] = {title: _shown(values) for title, values in _hard_cases(largest).items()}
    figures["news_us"] = {title: _shown(values) for title, values in _news(largest).items()}
    figures["take_and_release_us"] = _shown(_booking(largest))
    rest = figures["hard_us"] | {f"one report changed, {title}": of for title, of in figures["news_us"].items()}
    rest["take and release a permit"] = figures["take_and_release_us"]
    rest["yardstick: asking every book"] = figures["every_book_us"] = _shown(_look_at_all(largest))
    print(f"\nat {largest:,} nodes, us\n" + table(["", "p50", "p90", "p99", "max"], [[title, *of.values()] for title, of in rest.items()]))
    bars = [Bar(f"{policy} at {largest:,} nodes, p50", of[str(largest)]["p50"], 50, "us") for policy, of in figures["us"].items()]
    bars.append(Bar("one report changed, p50", figures["news_us"]["the same objects"]["p50"] / 1000, 5, "ms"))
    return finish("placement", figures, bars)


if __name__ == "__main__":
    sys.exit(main())
