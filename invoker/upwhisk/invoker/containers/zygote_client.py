"""The platform's end of a zygote: starting one, and having it fork guests."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import json
import os
import socket
import subprocess
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from upwhisk.common.errors import ContainerCreateFailed
from upwhisk.invoker.containers.cgroups import Entrance
from upwhisk.invoker.containers.roots import LIBRARY, PROXIES, plan_root
from upwhisk.runtimes.installation import RuntimeInstallation

START_S = 15.0
BIRTH_S = 10.0
_KILLED_S = 1.0
_PACKAGE = str(Path(__file__).resolve().parent)
_CODE = "import sys; sys.path.insert(0, sys.argv[1]); from zygote.main import main; main(int(sys.argv[2]))"
_BACKLOG = 128


@dataclass(slots=True)
class Birth:
    """What the platform holds of a new guest. Whoever gets it closes the descriptors."""

    pidfd: int = -1
    relay: socket.socket | None = None

    def close(self) -> None:
        if self.pidfd >= 0:
            os.close(self.pidfd)
            self.pidfd = -1
        if self.relay is not None:
            self.relay.close()
            self.relay = None


@dataclass(frozen=True, slots=True)
class Order:
    """One guest to fork. `network`: a descriptor of a prepared network namespace, -1 for a fresh one."""

    text: dict[str, Any]
    socket_path: Path
    output: int
    error: int
    entrance: Entrance
    network: int = -1


@dataclass(frozen=True, slots=True)
class ZygoteSettings:
    """`launcher`: the interpreter for zygotes of runtimes that are not Python."""

    launcher: Path
    filter: bytes
    mountpoint: Path
    resolvers: tuple[str, ...] = ()
    environment: dict[str, str] = field(default_factory=dict)


class Zygote:
    """One process for one kind. `on_death` is called once when it is gone unasked."""

    def __init__(
        self, installation: RuntimeInstallation, settings: ZygoteSettings, on_death: Callable[[Zygote], None]
    ) -> None:
        self.installation = installation
        self._settings = settings
        self._on_death = on_death
        self._control: socket.socket | None = None

    @property
    def alive(self) -> bool:
        return self._control is not None

    async def start(self, entrance: Entrance) -> None:
        """Returns when it can fork. `ContainerCreateFailed` says why it cannot."""
        try:
            plan = await asyncio.to_thread(self._plan)
        except (OSError, ValueError, subprocess.SubprocessError) as error:
            raise ContainerCreateFailed(f"runtime {self.installation.kind}: {error}") from None
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        ours.setblocking(False)
        try:
            await self._launch(ours, theirs, plan, entrance)
        except BaseException:
            ours.close()
            raise
        finally:
            theirs.close()
        self._control = ours
        asyncio.get_running_loop().add_reader(ours.fileno(), self._heard)

    def _plan(self) -> bytes:
        one, settings = self.installation, self._settings
        plan = {
            "user_namespace": os.geteuid() != 0,
            "root": plan_root(one, settings.resolvers).as_json(),
            "mountpoint": str(settings.mountpoint),
            "proxy": str(PROXIES / one.proxy.name),
            "preload": one.preload,
            "library": str(LIBRARY) if one.library and one.family == "python" else None,
            "arguments": _in_guest(one) if one.family == "nodejs" else None,
            "filter": base64.b64encode(settings.filter).decode(),
        }
        return json.dumps(plan).encode()

    async def _launch(
        self, ours: socket.socket, theirs: socket.socket, plan: bytes, entrance: Entrance
    ) -> None:
        python = (
            self._settings.launcher if self.installation.family == "nodejs" else self.installation.interpreter
        )
        command = [
            str(python.resolve()),
            "-I",
            "-S",
            "-B",
            "-X",
            "utf8",
            "-c",
            _CODE,
            _PACKAGE,
            str(theirs.fileno()),
        ]
        process = await asyncio.to_thread(_spawn, command, theirs.fileno(), self._settings.environment)
        try:
            inside = (*entrance.tasks, *((entrance.folder,) if entrance.folder >= 0 else ()))
            socket.send_fds(ours, [plan], inside)
            answer = await _receive(ours, START_S)
        except (OSError, TimeoutError) as error:
            process.kill()
            answer = str(error).encode() or b"no answer in time"
        finally:
            theirs.close()
            complaint = await asyncio.to_thread(_ended, process)
        if answer != b"ready":
            text = (answer.decode(errors="replace") or complaint).removeprefix("error: ")
            raise ContainerCreateFailed(f"runtime {self.installation.kind}: its zygote did not start: {text}")

    async def fork(self, order: Order) -> Birth:
        """Returns when the guest is confined and its socket listens. `ContainerCreateFailed` otherwise."""
        if self._control is None:
            raise ContainerCreateFailed(f"runtime {self.installation.kind}: its zygote is gone")
        report, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        report.setblocking(False)
        birth = Birth()
        try:
            with theirs:
                report.send(json.dumps(order.text).encode())
                self._send(order, theirs.fileno())
            async with asyncio.timeout(BIRTH_S):
                await _deliver(report, birth, order.socket_path)
        except BaseException as error:
            birth.close()
            if isinstance(error, OSError | TimeoutError):
                raise ContainerCreateFailed(
                    f"runtime {self.installation.kind}: {error or 'no guest in time'}"
                ) from None
            raise
        finally:
            report.close()
        return birth

    def _send(self, order: Order, report: int) -> None:
        assert self._control is not None
        network = (order.network,) if order.network >= 0 else ()
        folder = (order.entrance.folder,) if order.entrance.folder >= 0 else ()
        flags = b"f" + (b"" if network else b"n") + (b"c" if folder else b"")
        descriptors = (report, order.output, order.error, *network, *order.entrance.tasks, *folder)
        try:
            socket.send_fds(self._control, [flags], descriptors)
        except (BrokenPipeError, ConnectionResetError):
            self._heard()  # it is dead, and that has not been read yet: the next create starts another
            raise

    def _heard(self) -> None:
        """It never speaks again after it is ready: this is its end."""
        self.close()
        self._on_death(self)

    def close(self) -> None:
        """It exits, and with it every guest it has forked; idempotent."""
        if self._control is not None:
            asyncio.get_running_loop().remove_reader(self._control.fileno())
            self._control.close()
            self._control = None


def _spawn(command: list[str], descriptor: int, environment: dict[str, str]) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        command,
        pass_fds=(descriptor,),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        env=environment,
        start_new_session=True,
    )


def _ended(process: subprocess.Popen[bytes]) -> str:
    """Reap the launcher, which ends as soon as it has forked, and return what it complained about."""
    for patience_s in (START_S, _KILLED_S):
        try:
            complaint: bytes = process.communicate(timeout=patience_s)[1]
        except subprocess.TimeoutExpired:
            process.kill()
        else:
            return complaint.decode(errors="replace").strip()[-400:]
    return "it does not end"  # what it has forked holds its standard error


async def _receive(channel: socket.socket, timeout_s: float) -> bytes:
    async with asyncio.timeout(timeout_s):
        return await asyncio.get_running_loop().sock_recv(channel, 4096)


async def _deliver(report: socket.socket, birth: Birth, path: Path) -> None:
    """Follow one birth: `forked` with a pidfd, `sockets`, `ready`, in whichever order."""
    awaited = {b"forked", b"sockets", b"ready"}
    while awaited:
        await _readable(report)
        message, descriptors, _, _ = socket.recv_fds(report, 4096, 4)
        if message not in awaited:
            for descriptor in descriptors:
                os.close(descriptor)
            raise OSError(
                message.decode(errors="replace").removeprefix("error: ") or "the guest died at birth"
            )
        awaited.discard(message)
        if message == b"forked":
            birth.pidfd = descriptors[0]
        elif message == b"sockets":
            _listen(descriptors[0], path)
            birth.relay = socket.socket(fileno=descriptors[1]) if len(descriptors) > 1 else None
            report.send(b"go")


def _listen(descriptor: int, path: Path) -> None:
    """Bind the guest's socket: made in its network namespace, named in our file system."""
    with socket.socket(fileno=descriptor) as listener:
        listener.bind(str(path))
        listener.listen(_BACKLOG)


async def _readable(channel: socket.socket) -> None:
    loop = asyncio.get_running_loop()
    ready: asyncio.Future[None] = loop.create_future()
    loop.add_reader(channel.fileno(), _wake, ready)
    try:
        await ready
    finally:
        with contextlib.suppress(OSError, ValueError):
            loop.remove_reader(channel.fileno())


def _wake(ready: asyncio.Future[None]) -> None:
    if not ready.done():
        ready.set_result(None)


def _in_guest(installation: RuntimeInstallation) -> list[str]:
    """How a runtime that is executed starts, with its proxy at its path in the guest."""
    proxy = str(PROXIES / installation.proxy.name)
    return [proxy if argument == str(installation.proxy) else argument for argument in installation.argv]
