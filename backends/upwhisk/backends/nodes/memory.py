"""The node registry inside one process."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable

import msgspec

from upwhisk.common.clock import Clock, SystemClock
from upwhisk.common.ids import NodeId
from upwhisk.common.spi.nodes import Claim, NodeRegistry, NodeReport, NodeState, Watcher


class _Member(msgspec.Struct):
    """`expires_at`: monotonic seconds; `lapsed` once watchers were told."""

    report: NodeReport
    expires_at: float
    ttl_s: float
    lapsed: bool = False

    def seen_at(self, now: float) -> NodeReport:
        if now < self.expires_at:
            return self.report
        reason = f"no heartbeat for {self.ttl_s:g} s"
        return msgspec.structs.replace(self.report, state=NodeState.OFFLINE, reason=reason)


class MemoryClaim(Claim):
    """Held until it is released, or `lapse` ends it as a registry would that hears nothing of its owner."""

    def __init__(self, name: str, owner: str, held: dict[str, MemoryClaim]) -> None:
        self.name = name
        self.owner = owner
        self._held = held

    @property
    def lost(self) -> bool:
        return self._held.get(self.name) is not self

    async def release(self) -> None:
        self.lapse()

    def lapse(self) -> None:
        if not self.lost:
            del self._held[self.name]


class MemoryRegistry(NodeRegistry):
    def __init__(self, clock: Clock | None = None) -> None:
        self._clock = clock or SystemClock()
        self._members: dict[NodeId, _Member] = {}
        self._watchers: dict[object, Watcher] = {}
        self._flags: dict[str, str] = {}
        self._claims: dict[str, MemoryClaim] = {}
        self._is_open = False
        self._wake_at = math.inf
        self._expiry: asyncio.Task[None] | None = None

    async def start(self) -> None:
        self._is_open = True
        self._arm()

    async def aclose(self) -> None:
        self._is_open = False
        if self._expiry is not None:
            self._expiry.cancel()
            await asyncio.gather(self._expiry, return_exceptions=True)
            self._expiry = None

    async def heartbeat(self, report: NodeReport, *, ttl_s: float) -> None:
        now = self._clock.monotonic()
        old = self._members.get(report.node)
        self._members[report.node] = _Member(report, now + ttl_s, ttl_s)
        self._arm()
        if old is None or old.lapsed or old.seen_at(now) != report:
            self._tell()

    async def leave(self, node: NodeId) -> None:
        if self._members.pop(node, None) is not None:
            self._tell()

    async def nodes(self) -> tuple[NodeReport, ...]:
        return self._picture()

    async def report(self, node: NodeId) -> NodeReport | None:
        member = self._members.get(node)
        return None if member is None else member.report

    def watch(self, watcher: Watcher) -> Callable[[], None]:
        token = object()
        self._watchers[token] = watcher
        watcher(self._picture())

        def end() -> None:
            self._watchers.pop(token, None)

        return end

    async def put_flag(self, name: str, value: str | None) -> None:
        if value is None:
            self._flags.pop(name, None)
        else:
            self._flags[name] = value

    async def flag(self, name: str) -> str | None:
        return self._flags.get(name)

    async def flags(self, prefix: str) -> dict[str, str]:
        return {name: self._flags[name] for name in sorted(self._flags) if name.startswith(prefix)}

    async def claim(self, name: str, owner: str, *, ttl_s: float) -> MemoryClaim | None:
        holder = self._claims.get(name)
        if holder is not None and holder.owner != owner:
            return None
        claim = self._claims[name] = MemoryClaim(name, owner, self._claims)
        return claim

    async def holders(self, prefix: str) -> dict[str, str]:
        return {name: self._claims[name].owner for name in sorted(self._claims) if name.startswith(prefix)}

    def problem(self) -> str | None:
        return None

    def _picture(self) -> tuple[NodeReport, ...]:
        now = self._clock.monotonic()
        return tuple(self._members[node].seen_at(now) for node in sorted(self._members))

    def _tell(self) -> None:
        picture = self._picture()
        for watcher in list(self._watchers.values()):
            watcher(picture)

    def _arm(self) -> None:
        """Have a task that sleeps until the first member can lapse."""
        living = [member.expires_at for member in self._members.values() if not member.lapsed]
        if self._is_open and living and min(living) < self._wake_at:
            if self._expiry is not None:
                self._expiry.cancel()
            self._wake_at = min(living)
            self._expiry = asyncio.create_task(self._expire(), name="nodes-expiry")

    async def _expire(self) -> None:
        await self._clock.sleep(self._wake_at - self._clock.monotonic())
        self._wake_at, self._expiry = math.inf, None
        now = self._clock.monotonic()
        lapsed = [m for m in self._members.values() if not m.lapsed and m.expires_at <= now]
        for member in lapsed:
            member.lapsed = True
        self._arm()
        if lapsed:
            self._tell()
