"""A fleet under more calls than it can take: two controllers, four nodes whose memory bounds what they run.

The peak is measured closed loop through both controllers, then five times of it arrives by schedule at both. What every
node has at once is watched meanwhile. Then, with more calls than it can take, a fifth node joins and one is killed.
"""

from __future__ import annotations

import sys
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from closed import Load, closed_loop
from fleet.fleet import Fleet
from fleet.member import Member
from fleet.occupancy import Occupancy, booked, work_taken
from fleet.settings import Tuning
from fleet_subject import FleetSubject
from openloop import BURN, LEAD_S, SLEEP, Arrivals, open_loop
from report import Bar, finish, table
from services.waiting import until
from subject import BenchmarkError

_MEMORY_MB, _CONTAINER_MB = 512, 256
_PERMITS = _MEMORY_MB // _CONTAINER_MB
_FUNCTIONS = (("sleep 50 ms", "sleep", SLEEP), ("burn 10 ms", "burn", BURN))
_CALLERS = 16
"""At each controller."""
_WARM_UP_S, _PEAK_S, _OVERLOAD_S, _CHANGES_S = 4, 6, 8, 25
_ROUNDS, _TIMES, _TIMES_CHANGES = 2, 5, 1.5
_SETTLE_S, _PATIENCE_S = 2.0, 20.0
_QUEUE = 256
"""Of work that waits at each controller: some seconds' worth for eight permits, where 1,024 would be half a minute's."""
_SETTINGS: dict[str, dict[str, object]] = {
    "log": {"level": "warning"},
    "queue": {"max_length_per_namespace": _QUEUE},
    "retention": {"max_age_s": 0, "max_mb": 0},
}
"""Retention without bounds: its first look has the stand-in build a view, which takes a core for half a minute."""
_LOOK_S = 0.02


def main() -> int:
    fleet = Fleet(controllers=2, invokers=4, tuning=Tuning(memory_mb=_MEMORY_MB, lasting=True, tables=_SETTINGS))
    functions: dict[str, dict[str, Any]] = {}
    with FleetSubject(fleet) as platform:
        for _, action, code in _FUNCTIONS:
            platform.deploy(action, code)
        for name, action, _ in _FUNCTIONS:
            functions[name] = overload(platform, action)
        changes = join_and_death(platform, "sleep", functions["sleep 50 ms"]["peak_per_s"])
    print(table(
        ["function", "peak/s", "offered/s", "goodput/s", "share", "refused", "p50 ms", "p99 ms", "good p50 s", "other"],
        [[name, *_row(one)] for name, one in functions.items()],
    ))
    most = {name: max(one["occupancy"]["open"].values()) for name, one in functions.items()}
    print(table(["at once on a node, of permits", *most], [[f"{_PERMITS}", *most.values()]]))
    print(table(list(changes["figures"]), [list(changes["figures"].values())]))
    figures = {"functions": functions, "changes": changes, "times": _TIMES, "permits_a_node": _PERMITS}
    return finish("fleet", figures, _bars(functions, changes))


def _row(one: dict[str, Any]) -> list[object]:
    refused = one["refused_ms"]
    return [
        one["peak_per_s"], one["offered_per_s"], one["goodput_per_s"], one["share"], refused["n"],
        refused.get("p50", 0.0), refused.get("p99", 0.0), one["good_ms"]["p50"] / 1000, one["other"],
    ]  # fmt: skip


def _bars(functions: dict[str, dict[str, Any]], changes: dict[str, Any]) -> list[Bar]:
    bars = []
    for name, one in functions.items():
        most = max([*one["occupancy"]["open"].values(), *one["occupancy"]["booked"].values()])
        bars += [
            Bar(f"{name}: goodput of peak", one["share"] * 100, 90, "%", at_most=False),
            Bar(f"{name}: p99 of refusals", one["refused_ms"].get("p99", 0.0), 50, "ms"),
            Bar(f"{name}: neither answered nor refused", float(one["other"]), 0, ""),
            Bar(f"{name}: most on a node at once", float(most), _PERMITS, "activations"),
        ]
    return [
        *bars,
        Bar("a new node: from ready to its first work", changes["figures"]["first work s"], 3, "s"),
        Bar("a dead node: until it was given its last work", changes["figures"]["quiet s"], 5, "s"),
    ]


def overload(platform: FleetSubject, action: str) -> dict[str, Any]:
    """Peak and overload in turn, so that the machine's drift meets both. Of the overload's latencies the last round's stand."""
    urls, headers = platform.urls_of(action), platform.headers
    closed_loops(urls, headers, _WARM_UP_S)
    peak, good, other, rates = closed_loops(urls, headers, _PEAK_S), 0, 0, []
    with Occupancy(platform.fleet) as occupancy:
        for _ in range(_ROUNDS):
            rates.append(peak.per_s * _TIMES)
            result = open_loop(urls, headers, rates[-1], _OVERLOAD_S, queue=_QUEUE)
            good, other = good + result["good_in_time"], other + result["other"]
            peak.add(closed_loops(urls, headers, _PEAK_S))
    goodput = good / (_ROUNDS * _OVERLOAD_S)
    return {
        **result,
        "peak_per_s": round(peak.per_s, 1),
        "offered_per_s": round(sum(rates) / len(rates), 1),
        "goodput_per_s": round(goodput, 1),
        "share": round(goodput / peak.per_s, 3),
        "other": other,
        "peak": peak.figures(),
        "occupancy": shown(occupancy),
    }


def closed_loops(urls: list[str], headers: dict[str, str], seconds: int) -> Load:
    """At all controllers at the same time, added up."""
    def one(url: str) -> Load:
        return closed_loop(url, headers, callers=_CALLERS, seconds=seconds)

    both = Load()
    with ThreadPoolExecutor(len(urls)) as pool:
        for load in pool.map(one, urls):
            both.add(load)
    both.seconds /= len(urls)  # they ran side by side
    return both


def shown(occupancy: Occupancy) -> dict[str, Any]:
    return {
        "busy": dict(occupancy.busy), "open": dict(occupancy.open), "booked": dict(occupancy.booked),
        "looks": occupancy.looks, "looks_failed": occupancy.failed,
    }  # fmt: skip


def join_and_death(platform: FleetSubject, action: str, peak_per_s: float) -> dict[str, Any]:
    arrivals = Arrivals(platform.urls_of(action), platform.headers, peak_per_s * _TIMES_CHANGES, _CHANGES_S, queue=_QUEUE)
    try:
        with Occupancy(platform.fleet) as occupancy:
            time.sleep(LEAD_S + _SETTLE_S)
            start_s, first_work_s = join(platform.fleet)
            time.sleep(_SETTLE_S)
            quiet_s = death(platform.fleet, platform.fleet.invokers[0], arrivals)
            result = arrivals.finish()
    finally:
        arrivals.end()
    figures = {
        "start s": start_s, "first work s": first_work_s, "quiet s": quiet_s, "answered": result["good_ms"]["n"],
        "refused": result["refused_ms"]["n"], "failed": result["other"],
    }  # fmt: skip
    return {"figures": figures, "occupancy": shown(occupancy), **result}


def join(fleet: Fleet) -> tuple[float, float]:
    """Seconds from its start to ready, and from ready to the first work of one more node."""
    began = time.monotonic()
    node = fleet.add_invoker()
    node.wait_ready()
    ready = time.monotonic()
    if not until(lambda: work_taken(node) > 0, _PATIENCE_S, _LOOK_S):
        raise BenchmarkError(f"{node.name} was given nothing within {_PATIENCE_S:.0f} s")
    return ready - began, time.monotonic() - ready


def death(fleet: Fleet, victim: Member, arrivals: Arrivals) -> float:
    """Seconds from its end until a controller held a permit of it for the last time, watched until the load is over."""
    if not booked(fleet)[victim.name]:
        raise BenchmarkError(f"{victim.name} had no work when it was to die")
    victim.kill()
    killed = last = time.monotonic()
    while arrivals.under_way:
        if booked(fleet)[victim.name]:
            last = time.monotonic()
        time.sleep(_LOOK_S)
    return last - killed


if __name__ == "__main__":
    sys.exit(main())
