"""A whole fleet on this machine, from real parts: Kafka, Consul, a CouchDB-protocol server, controllers and nodes."""

from __future__ import annotations

import shutil
import subprocess
import sys
import tempfile
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import Self

from fleet.member import Member
from fleet.settings import Addresses, Tuning, write
from services.consul import Consul
from services.couchdb import PouchDB
from services.docker_engine import DockerEngine
from services.errors import Unavailable
from services.kafka import Kafka
from services.ports import free_ports
from services.service import Service

_INIT_S = 60.0
_IMAGES_S = 300.0


class Fleet:
    """`containers`: `process` or `docker`. Everything is started by `start` and gone after `stop`."""

    def __init__(
        self, *, controllers: int = 2, invokers: int = 2, containers: str = "process", tuning: Tuning | None = None
    ) -> None:
        self._counts = (controllers, invokers)
        self._containers = containers
        self._tuning = tuning or Tuning()
        self._stack = ExitStack()
        self.folder = Path()
        self.config = Path()
        self.key = ""
        self.services: dict[str, Service] = {}
        self.controllers: list[Member] = []
        self.invokers: list[Member] = []
        self.urls: list[str] = []

    @property
    def members(self) -> list[Member]:
        return [*self.controllers, *self.invokers]

    def start(self) -> Self:
        try:
            self._start()
        except BaseException:
            self.stop()
            raise
        return self

    def _start(self) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="uw-fleet-"))
        self._stack.callback(shutil.rmtree, self.folder, ignore_errors=True)
        kafka, consul, couch = Kafka(lasting=self._tuning.lasting), Consul(), PouchDB()
        self.services = {"kafka": kafka, "consul": consul, "couchdb": couch}
        if self._containers == "docker":
            self.services["docker"] = DockerEngine()
        for service in self.services.values():
            self._stack.enter_context(service)
        engine = self.services.get("docker")
        host = engine.host if isinstance(engine, DockerEngine) else None
        addresses = Addresses(kafka.bootstrap, consul.url, consul.token, couch.server.url, host)
        self.config = write(self.folder, addresses, self._tuning)
        self._initialise()
        if self._containers == "docker":
            self._run(["admin", "images"], within_s=_IMAGES_S)  # those of a run before are there
        controllers, invokers = self._counts
        for port in free_ports(controllers):
            self._add_controller(port)
        for _ in range(invokers):
            self.add_invoker()
        for member in self.members:
            member.wait_ready()

    def _initialise(self) -> None:
        """`upwhisk init`, as an operator would."""
        properties = self.folder / "wskprops"
        self._run(["init", "--wskprops", str(properties)], within_s=_INIT_S)
        lines = properties.read_text().splitlines()
        self.key = next(line for line in lines if line.startswith("AUTH=")).removeprefix("AUTH=")

    def _run(self, command: list[str], *, within_s: float) -> None:
        words = [sys.executable, "-m", "upwhisk.cli", *command, "--config", str(self.config)]
        done = subprocess.run(words, capture_output=True, text=True, timeout=within_s, check=False)
        if done.returncode != 0:
            raise Unavailable(f"'upwhisk {' '.join(command)}' failed:\n{done.stdout}{done.stderr}")

    def _add_controller(self, port: int) -> None:
        number = len(self.controllers) + 1
        arguments = ["controller", "--config", str(self.config), "--port", str(port), "--name", f"c{number}"]
        self.controllers.append(self._launched(f"c{number}", arguments))
        self.urls.append(f"http://127.0.0.1:{port}")

    def add_invoker(self) -> Member:
        """One more node; it is launched, not waited for."""
        number = len(self.invokers) + 1
        arguments = ["invoker", "--config", str(self.config), "--name", f"n{number}"]
        environment = {"UPWHISK_NODE_API_URL": self.urls[number % len(self.urls)]} if self.urls else {}
        member = self._launched(f"n{number}", arguments, environment)
        self.invokers.append(member)
        return member

    def _launched(self, name: str, arguments: list[str], environment: dict[str, str] | None = None) -> Member:
        member = Member(name, arguments, environment or {}, self.folder)
        self._stack.callback(member.stop)
        member.launch()
        return member

    def stop(self) -> None:
        self._stack.close()

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()
