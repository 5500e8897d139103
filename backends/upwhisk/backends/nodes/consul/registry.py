"""Membership by TTL checks, watched by blocking queries; flags as keys; claims as locks of sessions."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import Any
from urllib.parse import quote, unquote

import structlog

from upwhisk.backends.nodes.consul import accounts
from upwhisk.backends.nodes.consul.claims import Claims, ConsulClaim
from upwhisk.backends.nodes.consul.link import ASK_S, Link
from upwhisk.backends.nodes.consul.members import Members
from upwhisk.backends.nodes.consul.picture import Health, health_of, picture_of, reports_of
from upwhisk.common.errors import Unavailable
from upwhisk.common.ids import NodeId
from upwhisk.common.retry import RETRIES, backoff_s
from upwhisk.common.settings import ConsulSettings
from upwhisk.common.spi.nodes import NodeRegistry, NodeReport, NodeState, Watcher
from upwhisk.common.spi.roles import Role
from upwhisk.common.tasks import TaskOwner

log = structlog.get_logger(__name__)

_WAIT_S = 1.0
"""How long a blocking query waits for changes: so short that an answer which stays away is noticed before nodes that could
not renew meanwhile are said to be down."""
_LATE_S = 0.6
"""Consul adds up to a sixteenth to the wait; what comes later shows that it stood still."""


class ConsulRegistry(NodeRegistry):
    """Keys lie below `<prefix>/`: `nodes/` reports, `flags/`, `claims/`. Services are `<prefix>-invoker` and `<prefix>-claims`."""

    def __init__(self, settings: ConsulSettings) -> None:
        self._prefix = settings.prefix
        self._link = Link(settings)
        self._members = Members(self._link, settings.prefix)
        self._claims = Claims(self._link, settings.prefix)
        self._tasks = TaskOwner("consul")
        self._watchers: dict[object, Watcher] = {}
        self._health: tuple[int, dict[str, tuple[Health, ...]]] = (0, {})
        self._reports: tuple[int, dict[str, NodeReport]] = (0, {})
        self._picture: tuple[NodeReport, ...] = ()
        self._settled_at = 0.0
        self._outages = 0

    @staticmethod
    async def grant(settings: ConsulSettings, account: ConsulSettings, role: Role) -> str:
        """Have the token of `account` with the rights of its role; what was done. Repeatable."""
        return await accounts.grant(settings, account, role)

    async def start(self) -> None:
        """`ConfigurationError` names the setting that has to be mended."""
        await self._link.open()
        await self._refresh()

    async def aclose(self) -> None:
        await self._tasks.aclose(grace_s=0.0)
        await self._claims.aclose()
        await self._link.close()

    def problem(self) -> str | None:
        return self._link.problem

    # -- members ------------------------------------------------------------------------------------------------------

    async def heartbeat(self, report: NodeReport, *, ttl_s: float) -> None:
        known = self._shown(report.node)
        if await self._members.renew(report, ttl_s) or known != report:
            await self._refresh()
            known = self._shown(report.node)
            if known is None or known.state is NodeState.OFFLINE or known.incarnation != report.incarnation:
                self._members.forget(report.node)

    def _shown(self, node: NodeId) -> NodeReport | None:
        return next((each for each in self._picture if each.node == node), None)

    async def leave(self, node: NodeId) -> None:
        await self._members.leave(node)
        await self._refresh()

    async def nodes(self) -> tuple[NodeReport, ...]:
        await self._refresh()
        return self._picture

    async def report(self, node: NodeId) -> NodeReport | None:
        key = f"{self._prefix}/nodes/{quote(node, safe='')}"
        _, entry = await self._link.ask(lambda c: c.kv.get(key))
        self._members.is_held(node, b"" if entry is None else entry["Value"] or b"")
        return None if entry is None else reports_of([entry]).get(node)

    def watch(self, watcher: Watcher) -> Callable[[], None]:
        """What changes is followed from the first watcher on: a node that only tells of itself asks nothing."""
        if not len(self._tasks):
            self._tasks.start(self._follow(self._ask_health), "health")
            self._tasks.start(self._follow(self._ask_reports), "reports")
        token = object()
        self._watchers[token] = watcher
        watcher(self._picture)

        def end() -> None:
            self._watchers.pop(token, None)

        return end

    # -- flags ----------------------------------------------------------------------------------------------------------

    async def put_flag(self, name: str, value: str | None) -> None:
        key = self._flag_key(name)
        if value is None:
            await self._link.ask(lambda c: c.kv.delete(key))
        else:
            await self._link.ask(lambda c: c.kv.put(key, value))

    async def flag(self, name: str) -> str | None:
        key = self._flag_key(name)
        _, found = await self._link.ask(lambda c: c.kv.get(key))
        return None if found is None else (found["Value"] or b"").decode()

    async def flags(self, prefix: str) -> dict[str, str]:
        begin = f"{self._prefix}/flags/"
        key = self._flag_key(prefix)
        _, found = await self._link.ask(lambda c: c.kv.get(key, recurse=True))
        named = {unquote(e["Key"].removeprefix(begin)): (e["Value"] or b"").decode() for e in found or ()}
        return {name: named[name] for name in sorted(named)}

    def _flag_key(self, name: str) -> str:
        return f"{self._prefix}/flags/{quote(name, safe='/')}"

    # -- claims ---------------------------------------------------------------------------------------------------------

    async def claim(self, name: str, owner: str, *, ttl_s: float) -> ConsulClaim | None:
        return await self._claims.claim(name, owner, ttl_s)

    async def holders(self, prefix: str) -> dict[str, str]:
        return await self._claims.holders(prefix)

    # -- the picture ----------------------------------------------------------------------------------------------------

    async def _refresh(self) -> None:
        await asyncio.gather(self._ask_health(0), self._ask_reports(0))

    async def _ask_health(self, index: int) -> int:
        service, shown = f"{self._prefix}-invoker", self._health
        at, services = await self._ask(lambda c, **since: c.health.service(service, **since), index)
        if _is_news(at, index, shown, self._health):
            self._health = (at, health_of(services))
            self._show()
        return at

    async def _ask_reports(self, index: int) -> int:
        key, shown = f"{self._prefix}/nodes/", self._reports
        at, entries = await self._ask(lambda c, **since: c.kv.get(key, recurse=True, **since), index)
        if _is_news(at, index, shown, self._reports):
            self._reports = (at, reports_of(entries))
            self._show()
        return at

    async def _ask(self, query: Callable[..., Any], index: int) -> tuple[int, Any]:
        """At once, or with an index when something has changed since, at the latest after a while."""
        if not index:
            found = await self._link.ask(query)
        else:
            since = {"index": index, "wait": f"{_WAIT_S:g}s"}
            asked_at = time.monotonic()
            found = await self._link.ask(lambda c: query(c, **since), _WAIT_S + ASK_S)
            if time.monotonic() - asked_at > _WAIT_S + _LATE_S:
                self._link.stood_still()
        return int(found[0]), found[1]

    async def _follow(self, ask: Callable[[int], Any]) -> None:
        """Ask again and again for what has changed since; an index that goes back means that Consul began anew."""
        index, failures = 0, 0
        while True:
            try:
                at = await ask(index)
            except Unavailable:
                RETRIES["registry"] += 1
                await asyncio.sleep(backoff_s(failures))
                index, failures = 0, failures + 1
                continue
            index, failures = (at if at >= index else 0), 0

    def _show(self) -> None:
        now = time.monotonic()
        if self._link.outages != self._outages:
            self._outages = self._link.outages
            longest = max((each.ttl_s for all_ in self._health[1].values() for each in all_), default=0.0)
            self._settled_at = now + longest
            asyncio.get_running_loop().call_later(longest + 0.05, self._show)
        before: dict[str, NodeReport] = {each.node: each for each in self._picture}
        is_settled = now >= self._settled_at
        picture = picture_of(self._health[1], self._reports[1], before, is_settled=is_settled)
        if picture != self._picture:
            self._picture = picture
            for watcher in list(self._watchers.values()):
                watcher(picture)


def _is_news(at: int, index: int, asked: tuple[int, object], shown: tuple[int, object]) -> bool:
    """An answer whose index `at` is behind means that Consul began anew; or it has been overtaken, if what is `shown` now is not
    what was when it was `asked` for."""
    return at >= shown[0] or (not index and shown is asked)
