"""The kinds of sandboxes that the same tests run on."""

from __future__ import annotations

import contextlib
from abc import ABC, abstractmethod
from collections.abc import Iterator
from pathlib import Path
from typing import ClassVar

import pytest
from sandbox.guests import guest_members, leftovers, make_factory, short_folder

from upwhisk.common.spi.containers import Container, ContainerFactory
from upwhisk.invoker.containers.bounds import GuestBounds, NetworkSettings
from upwhisk.invoker.containers.process import ProcessFactory

NAMES = ["process", pytest.param("docker", marks=pytest.mark.external_service)]


class Kit(ABC):
    """Makes factories whose guests run the probe runtime, in one run folder.

    `namespaces`: those that a guest has for itself. `devices`, `writable`: what a guest sees in /dev, and may write to
    without harm. `etc`: files that the sandbox adds there.
    """

    name: ClassVar[str]
    host = ""
    """Where the engine is, of kits that have one."""
    namespaces: ClassVar[frozenset[str]] = frozenset({"pid", "mnt", "ipc", "uts", "net", "cgroup"})
    devices: ClassVar[frozenset[str]] = frozenset({"full", "null", "random", "urandom", "zero"})
    writable: ClassVar[frozenset[str]] = frozenset()
    etc: ClassVar[frozenset[str]] = frozenset(
        {"passwd", "group", "hosts", "nsswitch.conf", "resolv.conf", "ssl", "ld.so.cache"}
    )

    def __init__(self, run_dir: Path) -> None:
        self.run_dir = run_dir

    @abstractmethod
    def make(
        self, bounds: GuestBounds | None = None, network: NetworkSettings | None = None
    ) -> ContainerFactory:
        """Without `network`: no way out is prepared."""

    def members(self, factory: ContainerFactory, guest: Container) -> set[int]:
        """The host's ids of a guest's processes."""
        return guest_members(self.instance(factory), guest)

    def instance(self, factory: ContainerFactory) -> str:
        instance: str = factory.instance  # type: ignore[attr-defined]
        return instance

    @abstractmethod
    def check(self) -> None:
        """Nothing is left on this host."""


class ProcessKit(Kit):
    name = "process"
    namespaces = Kit.namespaces | {"user"}

    def make(
        self, bounds: GuestBounds | None = None, network: NetworkSettings | None = None
    ) -> ProcessFactory:
        return make_factory(self.run_dir, bounds, network)

    def check(self) -> None:
        assert leftovers() == {}


@contextlib.contextmanager
def kit_of(name: str, request: pytest.FixtureRequest) -> Iterator[Kit]:
    with short_folder() as folder:
        kit: Kit
        if name == "docker":
            from sandbox.docker_kit import DockerKit  # ordinary users run these tests without what it imports

            kit = DockerKit(folder, request.getfixturevalue("docker_with_probe"))
        else:
            kit = ProcessKit(folder)
        yield kit
        kit.check()
