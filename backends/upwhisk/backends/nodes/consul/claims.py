"""Claims: keys locked by a session that lives as long as its owner's TTL check passes.

A session's own time to live cannot be below ten seconds, a check's can: when it lapses, Consul ends the session and deletes
what it has locked at once.
"""

from __future__ import annotations

import asyncio
from typing import Any
from urllib.parse import quote, unquote

import structlog
from consul import Check

from upwhisk.backends.nodes.consul.link import Link
from upwhisk.common.errors import Unavailable
from upwhisk.common.ids import new_instance_id
from upwhisk.common.spi.nodes import Claim
from upwhisk.common.tasks import TaskOwner

log = structlog.get_logger(__name__)

_FORGOTTEN_AFTER = "1m"
_TRIES = 20
_AGAIN_S = 0.05


class ConsulClaim(Claim):
    def __init__(self, claims: Claims, name: str, owner: str, session: _Session) -> None:
        self.name = name
        self.owner = owner
        self.session = session
        self._claims = claims

    @property
    def lost(self) -> bool:
        return self.session.ended or self._claims.held.get(self.name) is not self

    async def release(self) -> None:
        await self._claims.release(self)


class _Session:
    """One owner's session and the check that keeps it alive."""

    def __init__(self, owner: str, ttl_s: float, prefix: str) -> None:
        self.owner = owner
        self.ttl_s = ttl_s
        self.id = ""
        self.ended = False
        self.service = f"{prefix}-claims-{new_instance_id()}"

    @property
    def check(self) -> str:
        return f"service:{self.service}"


class Claims:
    def __init__(self, link: Link, prefix: str) -> None:
        self._link = link
        self._prefix = prefix
        self._sessions: dict[str, _Session] = {}
        self._opening = asyncio.Lock()
        self._tasks = TaskOwner("consul-claims")
        self.held: dict[str, ConsulClaim] = {}

    async def claim(self, name: str, owner: str, ttl_s: float) -> ConsulClaim | None:
        session = await self._session(owner, ttl_s)
        key = self._key(name)
        if not await self._acquire(key, session) and not await self._take_over(key, session):
            return None
        claim = self.held[name] = ConsulClaim(self, name, owner, session)
        return claim

    async def release(self, claim: ConsulClaim) -> None:
        if claim.lost:
            return
        del self.held[claim.name]
        key, session = self._key(claim.name), claim.session.id
        try:
            await self._link.ask(lambda c: c.kv.put(key, "", release=session))
            await self._link.ask(lambda c: c.kv.delete(key))
        except Unavailable as error:
            log.info("claim lapses", action="claims.release", name=claim.name, reason=str(error))

    async def holders(self, prefix: str) -> dict[str, str]:
        begin, key = self._key(""), self._key(prefix)
        _, found = await self._link.ask(lambda c: c.kv.get(key, recurse=True))
        held = {
            unquote(entry["Key"].removeprefix(begin)): (entry["Value"] or b"").decode()
            for entry in found or ()
            if entry.get("Session")
        }
        return {name: held[name] for name in sorted(held)}

    async def aclose(self) -> None:
        await self._tasks.aclose(grace_s=0.0)
        for session in self._sessions.values():
            session.ended = True
            try:
                await self._link.ask(lambda c, id_=session.id: c.session.destroy(id_))  # type: ignore[misc]
                await self._link.ask(lambda c, id_=session.service: c.agent.service.deregister(id_))  # type: ignore[misc]
            except Unavailable as error:
                log.info("session lapses", action="claims.close", reason=str(error))
        self._sessions.clear()

    # -- locks --------------------------------------------------------------------------------------------------------

    async def _acquire(self, key: str, session: _Session) -> bool:
        got: bool = await self._link.ask(lambda c: c.kv.put(key, session.owner, acquire=session.id))
        return got

    async def _take_over(self, key: str, session: _Session) -> bool:
        """The same owner held it in a session of its former life."""
        _, found = await self._link.ask(lambda c: c.kv.get(key))
        if found is None or (found["Value"] or b"").decode() != session.owner or not found.get("Session"):
            return found is None and await self._acquire(key, session)
        former = found["Session"]
        await self._link.ask(lambda c: c.kv.put(key, session.owner, release=former))
        return await self._acquire(key, session)

    # -- sessions -------------------------------------------------------------------------------------------------------

    async def _session(self, owner: str, ttl_s: float) -> _Session:
        async with self._opening:
            session = self._sessions.get(owner)
            if session is None or session.ended or session.ttl_s != ttl_s:
                session = _Session(owner, ttl_s, self._prefix)
                await self._open(session)
                self._sessions[owner] = session
                self._tasks.start(self._keep(session), "session")
            return session

    async def _open(self, session: _Session) -> None:
        check = {**Check.ttl(f"{session.ttl_s:g}s"), "deregistercriticalserviceafter": _FORGOTTEN_AFTER}
        name = f"{self._prefix}-claims"
        await self._link.ask(
            lambda c: c.agent.service.register(name, service_id=session.service, check=check)
        )
        for tries_left in reversed(range(_TRIES)):
            await self._link.ask(lambda c: c.agent.check.ttl_pass(session.check))
            try:
                session.id = await self._link.ask(
                    lambda c: c.session.create(
                        name=session.owner, checks=[session.check], behavior="delete", lock_delay=0
                    )
                )
                return
            except Unavailable:  # the agent has not told the servers of the check yet
                if not tries_left or self._link.problem is not None:
                    raise
            await asyncio.sleep(_AGAIN_S)

    async def _keep(self, session: _Session) -> None:
        """Renew until it is gone."""
        while not session.ended:
            await asyncio.sleep(session.ttl_s / 3)
            try:
                await self._link.ask(lambda c: c.agent.check.ttl_pass(session.check), session.ttl_s / 2)
                _, info = await self._link.ask(lambda c: c.session.info(session.id), session.ttl_s / 2)
                before = set(self.held.values())
                _, rows = await self._link.ask(
                    lambda c: c.kv.get(self._key(""), recurse=True), session.ttl_s / 2
                )
                self._see_who_holds(session, before, rows or [])
            except Unavailable as error:
                if self._link.problem is not None:
                    continue  # whether it lives on is seen when Consul is back
                log.info("the check is gone", action="claims.check", reason=str(error))
                info = None
            if info is None:
                log.warning("claims were lost", action="claims.lost", owner=session.owner)
                session.ended = True

    def _see_who_holds(self, session: _Session, before: set[ConsulClaim], rows: list[dict[str, Any]]) -> None:
        """What the session held and does not hold any more: its owner has claimed it elsewhere."""
        locked = {row["Key"] for row in rows if row.get("Session") == session.id}
        for claim in before.intersection(self.held.values()):
            if claim.session is session and self._key(claim.name) not in locked:
                log.warning("claim was taken along", action="claims.taken_along", name=claim.name)
                del self.held[claim.name]

    def _key(self, name: str) -> str:
        return f"{self._prefix}/claims/{quote(name, safe='/')}"
