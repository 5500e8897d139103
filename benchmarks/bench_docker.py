"""Docker containers: first and warm calls from the client, beside the engine's own create + start of the same image.

Needs an engine (DOCKER_HOST) with the images that `make images` builds. The yardstick is a container of the same image without a
network, created and started through the same API: what nobody can be faster than.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable
from typing import Any

from report import Bar, finish, percentiles, table
from subject import BenchmarkError, Subject

from upwhisk.common.errors import StartupError
from upwhisk.common.settings_file import load_settings
from upwhisk.invoker.containers.docker.endpoint import endpoint_of
from upwhisk.invoker.containers.docker.image_build import list_runtime_images, open_client

_SAMPLES = 25
_WARM_UP = 2
_PAUSE_S = 0.4
_WARM_CALLS = 2000
_SETTINGS = {
    "UPWHISK_PLUGINS_CONTAINERS": "docker",
    "UPWHISK_POOL_FREEZE_AFTER_S": "1",
    "UPWHISK_POOL_EVICT_AFTER_S": "2",
    "UPWHISK_NODE_MEMORY_MB": "32768",
}
_PYTHON = "def main(args):\n    return {'greeting': 'Hello %d'}\n"
_NODE = "function main(args) { return {greeting: 'Hello %d'} }\n"
_SHELL = '#!/bin/sh\necho \'{"greeting": "Hello %d"}\'\n'
_CASES: dict[str, tuple[str, dict[str, str]]] = {
    "python": (_PYTHON, {}),
    "node": (_NODE, {"kind": "nodejs:20"}),
    "native": (_SHELL, {"kind": "blackbox", "image": "openwhisk/dockerskeleton"}),
}


class Yardstick:
    """The engine's own create + start, one container at a time."""

    def __init__(self) -> None:
        settings = load_settings().docker
        self._client = open_client(endpoint_of(settings, os.environ), 60)
        images, _ = list_runtime_images(endpoint_of(settings, os.environ), settings.image_prefix)
        pythons = sorted(kind for kind in images if kind.startswith("python:"))
        if not pythons:
            raise BenchmarkError("the engine has no image of a Python runtime: make images")
        self._image = images[pythons[-1]].name

    def measure(self) -> float:
        host = self._client.create_host_config(network_mode="none")
        began = time.perf_counter()
        made = self._client.create_container(
            self._image, ["/usr/local/bin/python3", "-c", "input()"], host_config=host, stdin_open=True
        )
        self._client.start(made)
        took_ms = (time.perf_counter() - began) * 1000
        self._client.remove_container(made, force=True)
        return took_ms


class Samples:
    def __init__(self) -> None:
        self.first: dict[str, list[float]] = {}
        self.engine: dict[str, list[float]] = {}
        self.phases: dict[str, dict[str, list[float]]] = {}

    def take(self, name: str, platform: Subject, yardstick: Yardstick, before: Callable[[], None]) -> None:
        code, fields = _CASES[name.partition(",")[0]]
        wanted = "prewarmed" if name.endswith("prewarmed") else "cold"
        for number in range(_WARM_UP + _SAMPLES):
            action = f"{wanted}-{number}"
            platform.deploy(action, code % number, **fields)
            engine_ms = yardstick.measure()
            before()
            took_ms, record = platform.invoke(action)
            ours: dict[str, Any] = next(a["value"] for a in record["annotations"] if a["key"] == "upwhisk")
            if ours["start"] != wanted or not record["response"]["result"]["greeting"].endswith(f" {number}"):
                raise BenchmarkError(f"'{name}' was to be measured on a {wanted} container: {record}")
            if number >= _WARM_UP:
                self.first.setdefault(name, []).append(took_ms)
                self.engine.setdefault(name, []).append(engine_ms)
                for phase, value in ours["phases"].items():
                    self.phases.setdefault(name, {}).setdefault(phase, []).append(value)
            platform.request("DELETE", f"/api/v1/namespaces/_/actions/{action}")


def main() -> int:
    try:
        yardstick = Yardstick()
    except StartupError as error:
        raise BenchmarkError(str(error)) from None
    samples = Samples()
    with Subject(_SETTINGS) as platform:
        samples.take("python, prewarmed", platform, yardstick, lambda: _settle(platform))
        warm = _warm(platform)
    with Subject({**_SETTINGS, "UPWHISK_POOL_PREWARM": "false"}) as platform:
        for name in ("python", "node", "native"):
            samples.take(name, platform, yardstick, lambda: time.sleep(_PAUSE_S))
    first = {name: percentiles(values) for name, values in samples.first.items()}
    engine = {name: percentiles(values) for name, values in samples.engine.items()}
    ratios = {name: round(first[name]["p50"] / engine[name]["p50"], 3) for name in first}
    phases = {name: {p: percentiles(v) for p, v in one.items()} for name, one in samples.phases.items()}
    rows = [
        [name, int(one["n"]), one["p50"], one["p90"], *(phases[name][p]["p50"] for p in ("place", "init", "run")),
         engine[name]["p50"], ratios[name]] for name, one in first.items()
    ]  # fmt: skip
    heads = [
        "first call of a new hello",
        "n",
        "p50 ms",
        "p90 ms",
        "place",
        "init",
        "run",
        "engine's own",
        "ratio",
    ]
    print(table(heads, rows))
    print(f"warm calls, one caller: p50 {warm['p50']} ms, p99 {warm['p99']} ms")
    bars = [
        Bar("prewarmed p50", first["python, prewarmed"]["p50"], 10.0, "ms"),
        *(
            Bar(f"{name} / the engine's create + start, p50", ratios[name], 1.3, "x")
            for name in ("python", "node", "native")
        ),
    ]
    figures = {
        "first_call_ms": first,
        "engine_ms": engine,
        "ratios": ratios,
        "phases_ms": phases,
        "warm_ms": warm,
    }
    return finish("docker", figures, bars)


def _settle(platform: Subject) -> None:
    """A container counts as prewarmed when the engine has started it; the interpreter in it takes a moment longer."""
    platform.await_prewarmed()
    time.sleep(_PAUSE_S)


def _warm(platform: Subject) -> dict[str, float]:
    platform.deploy("warm", _PYTHON % 0)
    for _ in range(50):
        platform.invoke("warm")
    return percentiles([platform.invoke("warm")[0] for _ in range(_WARM_CALLS)])


if __name__ == "__main__":
    sys.exit(main())
