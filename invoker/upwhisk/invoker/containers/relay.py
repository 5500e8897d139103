"""Carries bytes between a guest's loopback port and the platform's API."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from typing import cast

_MAX_PAIRS = 64
_CONNECT_S = 5.0


class _Side(asyncio.Protocol):
    """One end of a pair; what it hears goes to the other, no faster than that takes it."""

    def __init__(self) -> None:
        self.transport: asyncio.Transport | None = None
        self.other: _Side | None = None
        self._early: list[bytes] = []

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast("asyncio.Transport", transport)  # uvloop's are no subclasses

    def join(self, other: _Side) -> None:
        self.other = other
        for data in self._early:
            self.data_received(data)
        self._early.clear()

    def data_received(self, data: bytes) -> None:
        if self.other is None:
            self._early.append(data)  # reading is paused until the other end is there: this is one buffer
        elif self.other.transport is not None:
            self.other.transport.write(data)

    def eof_received(self) -> bool:
        if (
            self.other is not None
            and self.other.transport is not None
            and not self.other.transport.is_closing()
        ):
            with contextlib.suppress(OSError, RuntimeError):
                self.other.transport.write_eof()
        return True

    def connection_lost(self, error: Exception | None) -> None:
        if self.other is not None and self.other.transport is not None:
            self.other.transport.close()

    def pause_writing(self) -> None:
        if self.other is not None and self.other.transport is not None:
            self.other.transport.pause_reading()

    def resume_writing(self) -> None:
        if self.other is not None and self.other.transport is not None:
            self.other.transport.resume_reading()


class _GuestSide(_Side):
    def __init__(self, relay: ApiRelay) -> None:
        super().__init__()
        self._relay = relay

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        self._relay.accepted(self)

    def connection_lost(self, error: Exception | None) -> None:
        super().connection_lost(error)
        self._relay.left(self)


class ApiRelay:
    """`listener`: a listening socket in the guest's network namespace. `api`: a path, or `host:port`."""

    def __init__(self, listener: socket.socket, api: str) -> None:
        self._listener = listener
        self._api = api
        self._server: asyncio.Server | None = None
        self._guests: set[_GuestSide] = set()
        self._connecting: set[asyncio.Task[None]] = set()

    async def start(self) -> None:
        self._listener.setblocking(False)
        self._server = await asyncio.get_running_loop().create_server(
            lambda: _GuestSide(self), sock=self._listener
        )

    def accepted(self, guest: _GuestSide) -> None:
        assert guest.transport is not None
        if len(self._guests) >= _MAX_PAIRS or not self._api:
            guest.transport.abort()
            return
        self._guests.add(guest)
        guest.transport.pause_reading()
        task = asyncio.get_running_loop().create_task(self._connect(guest), name="guest-api-relay")
        self._connecting.add(task)
        task.add_done_callback(self._connecting.discard)

    def left(self, guest: _GuestSide) -> None:
        self._guests.discard(guest)

    async def _connect(self, guest: _GuestSide) -> None:
        assert guest.transport is not None
        loop = asyncio.get_running_loop()
        try:
            async with asyncio.timeout(_CONNECT_S):
                if self._api.startswith("/"):
                    _, api = await loop.create_unix_connection(_Side, self._api)
                else:
                    host, _, port = self._api.rpartition(":")
                    _, api = await loop.create_connection(_Side, host.strip("[]"), int(port))
        except (OSError, TimeoutError):
            guest.transport.abort()
            return
        if guest.transport.is_closing():
            assert api.transport is not None
            api.transport.abort()
            return
        api.join(guest)
        guest.join(api)
        guest.transport.resume_reading()

    def close(self) -> None:
        if self._server is not None:
            self._server.close()
            self._server = None
        self._listener.close()
        for task in self._connecting:
            task.cancel()
        for guest in tuple(self._guests):
            if guest.transport is not None:
                guest.transport.abort()
