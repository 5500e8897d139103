"""The right of one activation to use a container."""

from __future__ import annotations

from typing import Protocol

from upwhisk.common.errors import ContainerError
from upwhisk.common.spi.containers import Container
from upwhisk.invoker.output import GuestOutput


class PoolClosed(ContainerError):
    """The node stops: the activation has not started and stays accepted."""


class Running:
    """A container with its output, as the pool keeps it."""

    __slots__ = ("container", "output", "started_s")

    def __init__(self, container: Container, started_s: float) -> None:
        self.container = container
        self.output = GuestOutput()
        self.started_s = started_s


class Lessor(Protocol):
    """Hears what becomes of its containers."""

    def handle_initialised(self, lease: Lease, capacity: int, took_s: float) -> None: ...

    def handle_released(self, lease: Lease, *, keep: bool, ran_s: float) -> None: ...


class Lease:
    """`release` it exactly once; if it is `fresh`, report first that it was `initialised`, or nobody uses it again."""

    __slots__ = ("_lessor", "_released", "number", "running", "start")

    def __init__(self, lessor: Lessor, number: int, running: Running, start: str) -> None:
        self._lessor = lessor
        self._released = False
        self.number = number
        self.running = running
        self.start = start

    @property
    def container(self) -> Container:
        return self.running.container

    @property
    def output(self) -> GuestOutput:
        return self.running.output

    @property
    def fresh(self) -> bool:
        """It has to be initialised first."""
        return self.start != "warm"

    def initialised(self, capacity: int, took_s: float) -> None:
        self._lessor.handle_initialised(self, capacity, took_s)

    def release(self, *, keep: bool, ran_s: float) -> None:
        if not self._released:
            self._released = True
            self._lessor.handle_released(self, keep=keep, ran_s=ran_s)
