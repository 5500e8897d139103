"""Makes what a fleet needs in its services; everything may be there already."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Final

from upwhisk.cli.fleet_parts import FleetParts, parts_of
from upwhisk.cli.guest_key import GuestKey, ensure_guest, given_key, write_wskprops_file
from upwhisk.common.errors import StartupError, UpwhiskError
from upwhisk.common.ids import new_instance_id
from upwhisk.common.settings import Settings
from upwhisk.common.spi.nodes import Claim, NodeRegistry
from upwhisk.common.spi.roles import Role
from upwhisk.common.spi.store import DocumentStore

_TURN_S: Final = 30.0
_LEASE_S: Final = 10.0
_AGAIN_S: Final = 0.2


async def initialise(
    settings: Settings, auth_file: Path | None, wskprops: Path | None, api: str, accounts: Mapping[Role, Settings]
) -> list[str]:
    """What was done, a line each. `StartupError` names the setting of a service that cannot be used. `accounts`: the
    settings with which the processes of each role will run; their logins get what they need."""
    given = given_key(auth_file)
    parts = parts_of(settings)
    lines: list[str] = []
    try:
        made = await prepared(parts.documents, settings)
        lines.append(f"documents: made {', '.join(made)}" if made else "documents: all there")
        for role, account in accounts.items():
            lines += await granted(parts, settings, account, role)
        key = await _with_services(parts, given, lines)
    except StartupError:
        raise
    except UpwhiskError as error:
        raise StartupError(f"the fleet's services could not be prepared: {error}") from None
    if wskprops is not None:
        write_wskprops_file(wskprops, api, key)
        lines.append(f"clients: export WSK_CONFIG_FILE={wskprops}")
    return lines


async def prepared(documents: DocumentStore, settings: Settings) -> list[str]:
    """What the store's `prepare` made; nothing for a store that needs no preparing."""
    prepare = getattr(type(documents), "prepare", None)
    made: list[str] = [] if prepare is None else await prepare(settings.couchdb)
    return made


async def granted(parts: FleetParts, settings: Settings, account: Settings, role: Role) -> list[str]:
    """What was done for the logins of one role, in each service that keeps logins."""
    lines: list[str] = []
    for part, own, other in (
        (parts.documents, settings.couchdb, account.couchdb),
        (parts.bus, settings.kafka, account.kafka),
        (parts.registry, settings.consul, account.consul),
    ):
        grant = getattr(type(part), "grant", None)
        if grant is not None:
            lines.append(await grant(own, other, role))
    return lines


@asynccontextmanager
async def alone(registry: NodeRegistry) -> AsyncIterator[None]:
    """No other `init` of the fleet is in there meanwhile: of two random keys one would be shown and not work."""
    try:
        async with asyncio.timeout(_TURN_S):
            claim = await _turn(registry)
    except TimeoutError:
        raise StartupError(f"another 'upwhisk init' is at work and has not ended within {_TURN_S:.0f} s") from None
    try:
        yield
    finally:
        await claim.release()


async def _turn(registry: NodeRegistry) -> Claim:
    owner = new_instance_id()
    while True:
        claim = await registry.claim("init", owner, ttl_s=_LEASE_S)
        if claim is not None:
            return claim
        await asyncio.sleep(_AGAIN_S)


async def _with_services(parts: FleetParts, given: tuple[str, str] | None, lines: list[str]) -> GuestKey:
    async with parts.documents, parts.bus, parts.registry:
        async with alone(parts.registry):
            await parts.bus.try_topics()
            key = await ensure_guest(parts.documents.subjects, given)
        lines.append(f"bus: topics can be made and removed, {len(await parts.bus.topics(''))} are there")
        lines.append(f"registry: reachable, {len(await parts.registry.nodes())} nodes")
        lines.append(f"key of 'guest' (shown this once): {key.text}" if key.fresh else "guest: has its key")
    return key
