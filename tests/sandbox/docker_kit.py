"""Docker containers for the tests of sandboxes."""

from __future__ import annotations

import time
from pathlib import Path

from sandbox import docker_guests
from sandbox.guests import INSTANCES, leftovers
from sandbox.kits import Kit

from upwhisk.common.settings import DockerSettings
from upwhisk.invoker.containers.bounds import GuestBounds, NetworkSettings
from upwhisk.invoker.containers.docker.factory import DockerFactory


class DockerKit(Kit):
    """The engine gives all guests its own user namespace (unless it remaps), terminals and shared memory of their own, and
    lets a process make itself the first to die when memory ends."""

    name = "docker"
    devices = Kit.devices | {"tty", "ptmx", "pts", "shm", "mqueue", "console"}
    writable = frozenset({"/proc/self/oom_score_adj"})
    etc = Kit.etc | {"hostname", "mtab"}

    def __init__(self, run_dir: Path, host: str) -> None:
        super().__init__(run_dir)
        self.host = host

    def make(
        self,
        bounds: GuestBounds | None = None,
        network: NetworkSettings | None = None,
        settings: DockerSettings | None = None,
    ) -> DockerFactory:
        chosen = settings or docker_guests.settings_of(self.host)
        return docker_guests.make_docker_factory(self.run_dir, chosen, bounds, network)

    def check(self) -> None:
        """A busy engine takes its time to remove what is dead: it is given that, and then a hand."""
        deadline = time.monotonic() + docker_guests.PATIENCE_S
        while docker_guests.containers_of(self.host, self.run_dir) and time.monotonic() < deadline:
            docker_guests.remove_containers(self.host, self.run_dir)
        docker_guests.remove_groups(INSTANCES)
        assert docker_guests.containers_of(self.host, self.run_dir) == []
        assert leftovers() == {}
