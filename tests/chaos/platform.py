"""The fleet of the storm, and a client to deploy with."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path

from fakes.running import Running
from fleet.fleet import Fleet
from fleet.settings import Tuning

SETTINGS: dict[str, dict[str, object]] = {
    "pool": {"freeze_after_s": 0.5},
    "retention": {"max_age_s": 0, "max_mb": 0},
    "guest": {"ip_forwarding": True},
    "log": {"level": "info", "format": "json"},
}

_MEMORY_MB = {"process": 2048, "docker": 6144}
"""Of each node. A start in Docker takes half a second of a core: there is room for all actions, or starts are all there is."""


class ChaosFleet(Fleet):
    def __init__(self, *, containers: str = "process") -> None:
        tuning = Tuning(memory_mb=_MEMORY_MB[containers], tables=SETTINGS)
        super().__init__(controllers=2, invokers=2, containers=containers, tuning=tuning)

    @property
    def url(self) -> str:
        return self.urls[0]

    @property
    def client(self) -> Running:
        """Calls the first controller."""
        return Running(Path(), url=self.url, key=self.key)

    def keep_logs(self) -> None:
        kept = tempfile.mkdtemp(prefix="uw-chaos-logs-")
        for member in self.members:
            shutil.copy(member.log_file, f"{kept}/{member.name}.log")
        print(f"logs of all members: {kept}")
