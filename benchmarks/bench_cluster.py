"""A warm blocking call through a whole fleet on this machine: controller, Kafka, node, container, CouchDB's stand-in.

One controller and one node by default; `--containers docker` runs guests in Docker. Everything shares the cores.
"""

from __future__ import annotations

import argparse
import os
import sys
import time
from pathlib import Path

from bench_idle import pss_kb
from closed import Load, closed_loop
from fleet.fleet import Fleet
from fleet.settings import Tuning
from fleet_subject import FleetSubject
from report import Bar, finish, table

_SECONDS = 10
_WARM_UP_CALLERS, _WARM_UP_S = 16, 20
"""Until the broker's code is compiled."""
_CALLERS = (1, 4, 16, 32)
_SHARES = (50, 90, 99, 99.9)
_SETTLE_S = 15.0
_TICK_S = 1 / os.sysconf("SC_CLK_TCK")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--containers", choices=["process", "docker"], default="process")
    parser.add_argument("--seconds", type=int, default=_SECONDS)
    options = parser.parse_args()
    tuning = Tuning(memory_mb=1024, lasting=True, tables={"log": {"level": "warning"}, "retention": {"max_age_s": 0, "max_mb": 0}})
    fleet = Fleet(controllers=1, invokers=1, containers=options.containers, tuning=tuning)
    with FleetSubject(fleet) as platform:
        platform.deploy("noop", "def main(args):\n    return {}\n")
        time.sleep(_SETTLE_S)
        idle_mb = {member.name: round(pss_kb(member.pid) / 1024, 1) for member in fleet.members}
        loads, cpu = measure(platform, options.seconds)
    rows = [[n, round(load.per_s), *(load.percentile_ms(s) for s in _SHARES)] for n, load in loads.items()]
    print(table(["callers", "per s", "p50 ms", "p90 ms", "p99 ms", "p99.9 ms"], rows))
    print(table(["ms of CPU a call", *cpu[1]], [[n, *cpu[n].values()] for n in cpu]))
    bars = [
        Bar("one caller, p50", loads[1].percentile_ms(50), 5.0, "ms"),
        Bar("one caller, p99", loads[1].percentile_ms(99), 25.0, "ms"),
        Bar("controller, idle, PSS", idle_mb[fleet.controllers[0].name], 100.0, "MB"),
        Bar("node, idle, PSS without its guests", idle_mb[fleet.invokers[0].name], 60.0, "MB"),
        Bar("most calls per second", max(load.per_s for load in loads.values()), 800.0, "per s", at_most=False),
    ]
    figures = {"containers": options.containers, "idle_mb": idle_mb, "callers": {n: load.figures() for n, load in loads.items()}, "cpu": cpu}
    return finish("cluster", figures, bars)


def measure(platform: FleetSubject, seconds: int) -> tuple[dict[int, Load], dict[int, dict[str, float]]]:
    (url,), headers = platform.urls_of("noop"), platform.headers
    closed_loop(url, headers, callers=_WARM_UP_CALLERS, seconds=_WARM_UP_S)
    loads: dict[int, Load] = {}
    cpu: dict[int, dict[str, float]] = {}
    for callers in _CALLERS:
        closed_loop(url, headers, callers=callers, seconds=1)
        before = used_s(platform.fleet)
        loads[callers] = closed_loop(url, headers, callers=callers, seconds=seconds)
        after = used_s(platform.fleet)
        calls = loads[callers].requests
        cpu[callers] = {name: round((after[name] - before[name]) * 1000 / calls, 3) for name in after}
    return loads, cpu


def used_s(fleet: Fleet) -> dict[str, float]:
    """CPU seconds used so far by each process of the fleet (guests are children of nobody here)."""
    pids = {**{n: s.pid for n, s in fleet.services.items()}, **{m.name: m.pid for m in fleet.members}}
    return {name: _used(pid) for name, pid in pids.items()}


def _used(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) * _TICK_S


if __name__ == "__main__":
    sys.exit(main())
