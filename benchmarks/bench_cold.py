"""First call of a new hello, from the client: a fresh action for each sample, one kept connection, the PUT not counted.

Python on a prewarmed container; Python without prewarming, after a moment (the zygote's next guest is born by then) and
right after another first call (it is not); Node beside `node -e 0`, a native script. Between the samples run the
yardsticks: `node -e 0` for Node, `python -I -S -c 0` for the others (7 ms on the machine of the bars, so that figures
from a slower or a busy one can be compared).
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
_NODE_ALONE = ["node", "-e", "0"]
_PYTHON_ALONE = [sys.executable, "-I", "-S", "-c", "0"]
_CASES: dict[str, tuple[str, dict[str, str]]] = {
    "python": (_PYTHON, {}),
    "node": (_NODE, {"kind": "nodejs:20"}),
    "native": (_SHELL, {"kind": "blackbox", "image": "openwhisk/dockerskeleton"}),
}


class Samples:
    def __init__(self) -> None:
        self.first: dict[str, list[float]] = {}
        self.yardstick: dict[str, list[float]] = {}
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
    with Subject(_KEEP_FEW) as platform:
        _sample(samples, platform, "python, prewarmed", "python", _PYTHON_ALONE, platform.await_prewarmed)
    with Subject({**_KEEP_FEW, "UPWHISK_POOL_PREWARM": "false"}) as platform:
        _sample(samples, platform, "python, forked", "python", _PYTHON_ALONE, _pause)
        _sample(samples, platform, "python, in a burst", "python", _PYTHON_ALONE, lambda: _use_spare(platform))
        _sample(samples, platform, "node", "node", _NODE_ALONE, _pause)
        _sample(samples, platform, "native script", "native", _PYTHON_ALONE, _pause)
    found = {name: percentiles(values) for name, values in samples.first.items()}
    yardsticks = {name: percentiles(values) for name, values in samples.yardstick.items()}
    ratios = {name: round(one["p50"] / yardsticks[name]["p50"], 3) for name, one in found.items()}
    heads = ["first call of a new hello", "n", "p50 ms", "p90 ms", "p99 ms", "init p50", "run p50", "yardstick p50", "ratio",
             "spread to p99, ms"]  # fmt: skip
    print(table(heads, [_row(name, found[name], yardsticks[name], samples) for name in found]))
    bars = [
        Bar("python prewarmed p50", found["python, prewarmed"]["p50"], 3.0, "ms"),
        Bar("python forked p50", found["python, forked"]["p50"], 8.0, "ms"),
        Bar("node p50 / node -e 0", ratios["node"], 1.2, "x"),
    ]
    phases = {name: {p: percentiles(v) for p, v in one.items()} for name, one in samples.phases.items()}
    starts = {name: sorted(one) for name, one in samples.starts.items()}
    figures = {"first_call_ms": found, "yardstick_ms": yardsticks, "ratios": ratios, "phases_ms": phases, "starts": starts}
    return finish("cold", figures, bars)


def _sample(
    samples: Samples, platform: Subject, name: str, language: str, alone: list[str], before: Callable[[], None]
) -> None:
    code, fields = _CASES[language]
    for number in range(_WARM_UP + _SAMPLES):
        action = f"{language}-{number}"
        platform.deploy(action, code % number, **fields)
        samples.yardstick.setdefault(name, []).append(_time_to_exit(alone))
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
    """The next guest is born ahead, and dead guests are cleared away, when it is quiet."""
    time.sleep(_PAUSE_S)


def _use_spare(platform: Subject) -> None:
    """Somebody else's first call takes the guest that was born ahead, a moment before ours."""
    _pause()
    platform.deploy("somebody", _PYTHON % 0)
    platform.invoke("somebody")
    platform.request("DELETE", "/api/v1/namespaces/_/actions/somebody")


def _time_to_exit(command: list[str]) -> float:
    program = shutil.which(command[0])
    if program is None:
        raise BenchmarkError(f"{command[0]} is missing")
    began = time.perf_counter()
    pid = os.posix_spawn(program, command, os.environ)
    os.waitpid(pid, 0)
    return (time.perf_counter() - began) * 1000


def _row(name: str, first: dict[str, float], alone: dict[str, float], samples: Samples) -> list[object]:
    phases = samples.phases[name]
    parts = [percentiles(phases[p])["p50"] for p in ("init", "run")]
    figures = [int(first["n"]), first["p50"], first["p90"], first["p99"], *parts, alone["p50"]]
    return [name, *figures, first["p50"] / alone["p50"], histogram(samples.first[name], 20)]


if __name__ == "__main__":
    sys.exit(main())
