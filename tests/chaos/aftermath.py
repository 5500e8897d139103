"""What must not be left when the storm is over: work under way, permits, logs, topics, claims, groups, mounts, rules."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path

from crash import victims
from fleet.fleet import Fleet
from fleet.metrics import metrics_of

from upwhisk.cli.fleet_parts import bus_of, registry_of
from upwhisk.common.settings_file import load_settings

_IDLE = {
    "upwhisk_activations_in_flight": 0.0,
    "upwhisk_activations_queued": 0.0,
    "upwhisk_journalled": 0.0,
    "upwhisk_records_unstored": 0.0,
    "upwhisk_logs_hosted": 1.0,
}


class Aftermath:
    def __init__(self, fleet: Fleet) -> None:
        self._fleet = fleet

    def findings(self, within_s: float) -> list[str]:
        """What is still there after `within_s`; empty as soon as all is as it should be."""
        deadline = time.monotonic() + within_s
        while found := self._findings():
            if time.monotonic() > deadline:
                break
            time.sleep(0.5)
        return found

    def _findings(self) -> list[str]:
        found: list[str] = []
        for url in self._fleet.urls:
            shown = metrics_of(url)
            found += [f"{url}: {name} is {shown.get(name)}, not {want:g}" for name, want in _IDLE.items() if shown.get(name) != want]
        return found + asyncio.run(self._services()) + self._host()

    async def _services(self) -> list[str]:
        settings = load_settings(Path(self._fleet.config), {})
        async with bus_of(settings) as bus, registry_of(settings) as registry:
            flags = await registry.flags("logs/")
            known = {name.removeprefix("logs/") for name in flags}
            logs = {name.removeprefix("logs/") for name, text in flags.items() if not text.startswith("retired ")}
            held = {name.removeprefix("logs/") for name in await registry.holders("logs/")}
            topics = set(await bus.topics(""))
            nodes = {f"invoker-{node.node}" for node in await registry.nodes()}
        wanted = {f"completed-{name}" for name in known} | nodes
        found = [f"log {name} has no host" for name in logs - held]
        found += [f"topic {name} belongs to nobody" for name in topics - wanted]
        if len(logs) != len(self._fleet.controllers):
            found.append(f"{len(logs)} logs of {len(self._fleet.controllers)} controllers: {sorted(logs)}")
        return found

    def _host(self) -> list[str]:
        """Instances whose invoker is gone; each living invoker is one."""
        instances = victims.instances()
        living = len([m for m in self._fleet.invokers if m.running])
        if len(instances) <= living:
            return []
        return [f"{len(instances)} instances on this host, {living} nodes run: {sorted(instances)}"]
