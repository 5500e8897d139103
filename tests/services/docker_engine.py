"""An own Docker engine, apart from one that the machine may have."""

from __future__ import annotations

import os
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import ClassVar, Self

from services import docker_rules
from services.asking import ask_socket
from services.cache import cache_folder, digest, try_lock
from services.commands import have, run
from services.debian import missing
from services.errors import Unavailable
from services.processes import end_naming
from services.service import Service
from services.waiting import until

PROGRAMS = {"dockerd": "docker.io", "iptables": "iptables", "ip": "iproute2", "setpriv": "util-linux"}
VARIABLE = "UPWHISK_TEST_DOCKER"
_ALONE_S = 90.0
_REMOVE_S = 30.0
_SLOTS = 16


def given() -> str | None:
    """Address of the engine that the environment names. Raises `Unavailable` where it does not answer."""
    host = os.environ.get(VARIABLE, "")
    if (
        host.startswith("unix://")
        and ask_socket(Path(host.removeprefix("unix://")), "GET", "/_ping")[0] != 200
    ):
        raise Unavailable(f"{VARIABLE}: no Docker engine answers at {host}")
    return host or None


def prepare() -> None:
    """Its packages are all it needs."""
    if packages := missing(PROGRAMS):
        raise Unavailable(f"docker is not installed: as root, apt-get install {' '.join(packages)}")


class DockerEngine(Service):
    """`host` is what clients are given. Images stay in the cache; containers, networks and volumes go with `stop`.

    Two engines in one network namespace break each other's firewall rules, so it waits for another to end. `apart`: it has
    a namespace of its own, with a loopback alone: nothing is fetched, no port is published, and nobody is waited for.
    `options`: further words of its command line.
    """

    name: ClassVar[str] = "docker"
    port_count: ClassVar[int] = 0

    def __init__(self, *, apart: bool = False, options: Sequence[str] = ()) -> None:
        super().__init__()
        self._apart = apart
        self._options = tuple(options)
        prepare()
        if os.geteuid() != 0:
            raise Unavailable(
                f"a Docker engine is started by root only; {VARIABLE}=unix://... names one that runs"
            )
        self._locks: list[int] = []
        self._slot = 0
        self._rules = docker_rules.Before()

    @property
    def host(self) -> str:
        return f"unix://{self.socket}"

    @property
    def socket(self) -> Path:
        return self.folder / "docker.sock"

    def start(self) -> Self:
        try:
            if not self._apart:
                self._take_namespace()
            self._take_slot()
            if not self._apart:
                self._rules = docker_rules.now()
            super().start()
            self._remove_everything()  # of a run that was killed
        except BaseException:
            self.stop()
            raise
        return self

    def stop(self) -> None:
        try:
            if self._child is not None and not self._child.running:
                self._launch(last=True)  # containers outlive a killed engine; only an engine takes them away
            super().stop()
            if self._slot:
                end_naming(self.runtime)  # a shim may be left of a container that ended while its engine was being killed
                _unmount(self.data, self.runtime)
                shutil.rmtree(self.runtime, ignore_errors=True)
                docker_rules.forget(self._rules)  # nothing where it was apart
        finally:
            for lock in self._locks:
                os.close(lock)
            self._locks, self._slot = [], 0

    @property
    def data(self) -> Path:
        return cache_folder() / f"docker-data/{self._slot}"

    @property
    def runtime(self) -> Path:
        """The same for each run, so that an engine finds the containers of one that was killed."""
        return Path(f"/run/upwhisk-test-{digest(str(cache_folder()))[:6]}-{self._slot}")

    def _take_namespace(self) -> None:
        namespace = os.stat("/proc/self/ns/net").st_ino
        lock = _lock_file(f"docker-net-{namespace}")
        self._locks.append(lock)
        if not until(lambda: try_lock(lock) and not _engines(namespace), _ALONE_S, every_s=0.3):
            raise Unavailable(
                f"another Docker engine (pid {', '.join(map(str, _engines(namespace))) or '?'}) runs in this network "
                f"namespace. Stop it, or name it with {VARIABLE}=unix:///path/to/docker.sock, or run the tests beside "
                "it: scripts/services apart -- COMMAND"
            )

    def _take_slot(self) -> None:
        for slot in range(1, _SLOTS):
            lock = _lock_file(f"docker-data-{slot}")
            if try_lock(lock):
                self._locks.append(lock)
                self._slot = slot
                return
            os.close(lock)
        raise Unavailable(f"{_SLOTS - 1} Docker engines run already")

    def _configure(self, folder: Path) -> None:
        self.data.mkdir(parents=True, exist_ok=True)

    def _command(self, folder: Path) -> list[str]:
        paths = ["--data-root", str(self.data), "--exec-root", str(self.runtime)]
        paths += ["--pidfile", str(folder / "docker.pid"), "--host", f"unix://{folder / 'docker.sock'}"]
        driver = ["--storage-driver", "overlay2", "--exec-opt", "native.cgroupdriver=cgroupfs"]
        command = [have("dockerd"), *paths, *driver, "--live-restore", "--log-level", "warn", *self._options]
        if not self._apart:
            return command
        return [have("unshare"), "--net", "--", "/bin/sh", "-c", 'ip link set lo up && exec "$@"', "sh", *command]

    def _before_launch(self, folder: Path) -> None:
        """What a killed engine leaves keeps the next one from starting."""
        for path in (folder / "docker.pid", self.runtime / "containerd/containerd.pid"):
            path.unlink(missing_ok=True)

    def _ready(self) -> bool:
        return ask_socket(self.socket, "GET", "/_ping")[0] == 200

    def _before_stop(self) -> None:
        self._remove_everything()

    def _remove_everything(self) -> None:
        _, containers = ask_socket(self.socket, "GET", "/containers/json?all=1", _REMOVE_S)
        for container in containers or ():
            ask_socket(self.socket, "DELETE", f"/containers/{container['Id']}?force=1&v=1", _REMOVE_S)
        for what in ("networks", "volumes"):
            ask_socket(self.socket, "POST", f"/{what}/prune", _REMOVE_S)


def _unmount(*folders: Path) -> None:
    """An engine that was killed once forgets that it mounted its data folder upon itself."""
    targets = [Path(line.split()[4]) for line in Path("/proc/self/mountinfo").read_text().splitlines()]
    for target in reversed(targets):
        if any(target == folder or folder in target.parents for folder in folders):
            run(have("umount"), target, within_s=_REMOVE_S)


def _lock_file(name: str) -> int:
    path = cache_folder() / "locks" / f"{name}.lock"
    path.parent.mkdir(mode=0o755, exist_ok=True)
    return os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)


def _engines(namespace: int) -> list[int]:
    """Ids of the processes that are Docker engines in a network namespace."""
    found = []
    for entry in Path("/proc").iterdir():
        try:
            is_engine = entry.name.isdigit() and (entry / "comm").read_text() == "dockerd\n"
            if is_engine and (entry / "ns/net").stat().st_ino == namespace:
                found.append(int(entry.name))
        except OSError:
            continue  # it ended meanwhile
    return found
