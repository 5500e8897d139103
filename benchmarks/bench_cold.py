"""First call of a new hello, from the client: a fresh action for each sample, one kept connection, the PUT not counted.

Python on a prewarmed container, Python forked from the zygote, Node beside `node -e 0`, a native script. The two
yardsticks (`node -e 0`, `python -I -S -c 0`) run between the samples.
"""

from __future__ import annotations

import os
import shutil
import sys
import time
from collections.abc import Callable
from typing import Any

from report import Bar, finish, histogram, percentiles, table
from subject import BenchmarkError, Subject

_SAMPLES = 40
_WARM_UP = 3
_PAUSE_S = 0.25
_KEEP_FEW = {"UPWHISK_POOL_FREEZE_AFTER_S": "1", "UPWHISK_POOL_EVICT_AFTER_S": "2", "UPWHISK_NODE_MEMORY_MB": "32768"}
"""Containers of earlier samples go soon; none has to be evicted inside a sample."""
_PYTHON = "def main(args):\n    return {'greeting': 'Hello ' + args.get('name', 'stranger') + ' %d'}\n"
_NODE = "function main(args) { return {greeting: 'Hello ' + (args.name || 'stranger') + ' %d'} }\n"
_SHELL = "#!/bin/sh\necho '{\"greeting\": \"Hello stranger %d\"}'\n"
_CASES: dict[str, tuple[str, dict[str, str]]] = {
    "python": (_PYTHON, {}),
    "node": (_NODE, {"kind": "nodejs:20"}),
    "native": (_SHELL, {"kind": "blackbox", "image": "openwhisk/dockerskeleton"}),
}


class Samples:
    def __init__(self) -> None:
        self.first: dict[str, list[float]] = {}
        self.phases: dict[str, dict[str, list[float]]] = {}
        self.starts: dict[str, set[str]] = {}

    def add(self, name: str, took_ms: float, record: dict[str, Any]) -> None:
        self.first.setdefault(name, []).append(took_ms)
        ours: dict[str, Any] = next((a["value"] for a in record["annotations"] if a["key"] == "upwhisk"), {})
        self.starts.setdefault(name, set()).add(str(ours.get("start")))
        for phase, value in ours.get("phases", {}).items():
            self.phases.setdefault(name, {}).setdefault(phase, []).append(value)


def main() -> int:
    samples = Samples()
    yardsticks: dict[str, list[float]] = {}
    with Subject(_KEEP_FEW) as platform:
        _sample(samples, platform, "python, prewarmed", "python", platform.await_prewarmed)
    with Subject({**_KEEP_FEW, "UPWHISK_POOL_PREWARM": "false"}) as platform:
        _sample(samples, platform, "python, forked", "python", _pause)
        _sample(samples, platform, "node", "node", lambda: _pause_with(yardsticks))
        _sample(samples, platform, "native script", "native", _pause)
    rows: dict[str, list[float]] = {**samples.first, **yardsticks}
    found = {name: percentiles(values) for name, values in rows.items()}
    heads = ["first call of a new hello", "n", "p50 ms", "p90 ms", "p99 ms", "init p50", "run p50", "spread to p99, ms"]
    print(table(heads, [_row(name, values, found[name], samples) for name, values in rows.items()]))
    node = found["node"]["p50"] / found["node -e 0"]["p50"]
    bars = [
        Bar("python prewarmed p50", found["python, prewarmed"]["p50"], 3.0, "ms"),
        Bar("python forked p50", found["python, forked"]["p50"], 8.0, "ms"),
        Bar("node p50 / node -e 0", round(node, 3), 1.2, "x"),
    ]
    phases = {name: {p: percentiles(v) for p, v in one.items()} for name, one in samples.phases.items()}
    starts = {name: sorted(one) for name, one in samples.starts.items()}
    return finish("cold", {"first_call_ms": found, "phases_ms": phases, "starts": starts}, bars)


def _sample(
    samples: Samples, platform: Subject, name: str, language: str, before: Callable[[], None]
) -> None:
    code, fields = _CASES[language]
    for number in range(_WARM_UP + _SAMPLES):
        action = f"{language}-{number}"
        platform.deploy(action, code % number, **fields)
        before()
        took_ms, record = platform.invoke(action)
        if not record["response"]["result"]["greeting"].endswith(f" {number}"):
            raise BenchmarkError(f"a wrong answer: {record}")
        if number >= _WARM_UP:
            samples.add(name, took_ms, record)
        platform.request("DELETE", f"/api/v1/namespaces/_/actions/{action}")
    wanted = "prewarmed" if name == "python, prewarmed" else "cold"
    if samples.starts[name] != {wanted}:
        raise BenchmarkError(f"'{name}' was to be measured on {wanted} containers, got {samples.starts[name]}")


def _pause() -> None:
    """The zygote forks the next child ahead, and dead guests are cleared away, when it is quiet."""
    time.sleep(_PAUSE_S)


def _pause_with(yardsticks: dict[str, list[float]]) -> None:
    for name, command in (("node -e 0", ["node", "-e", "0"]), ("python -I -S -c 0", [sys.executable, "-I", "-S", "-c", "0"])):
        yardsticks.setdefault(name, []).append(_time_to_exit(command))
    _pause()


def _time_to_exit(command: list[str]) -> float:
    program = shutil.which(command[0])
    if program is None:
        raise BenchmarkError(f"{command[0]} is missing")
    began = time.perf_counter()
    pid = os.posix_spawn(program, command, os.environ)
    os.waitpid(pid, 0)
    return (time.perf_counter() - began) * 1000


def _row(name: str, values: list[float], found: dict[str, float], samples: Samples) -> list[object]:
    phases = samples.phases.get(name, {})
    parts = [percentiles(phases[p])["p50"] if p in phases else "" for p in ("init", "run")]
    return [name, int(found["n"]), found["p50"], found["p90"], found["p99"], *parts, histogram(values, 20)]


if __name__ == "__main__":
    sys.exit(main())
