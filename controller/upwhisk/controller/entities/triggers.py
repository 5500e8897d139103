"""Creating, updating and deleting triggers, and the links that rules have to them."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable
from typing import Final

import msgspec

from upwhisk.common.clock import Clock
from upwhisk.common.errors import BadRequest, Conflict
from upwhisk.common.model.identity import Identity
from upwhisk.common.model.limits import SystemLimits
from upwhisk.common.model.parameters import Parameters
from upwhisk.common.model.trigger import RuleLink, Trigger
from upwhisk.common.names import EntityName, is_segment
from upwhisk.controller import namespace_limits
from upwhisk.controller.catalog import CONCURRENT, Catalog
from upwhisk.controller.entities import fields
from upwhisk.controller.entities.actions import EXISTS
from upwhisk.controller.json_body import decode_as

_ATTEMPTS: Final = 32
_PAUSE_S: Final = 0.01
_LOCKS: Final = 64
"""Triggers share them."""
Links = dict[str, RuleLink]


class TriggerWriter:
    def __init__(self, catalog: Catalog, limits: SystemLimits, clock: Clock) -> None:
        self._catalog = catalog
        self._limits = limits
        self._clock = clock
        self._links = tuple(asyncio.Lock() for _ in range(_LOCKS))

    async def put(self, identity: Identity, name: EntityName, body: bytes, *, overwrite: bool) -> Trigger:
        """Rules survive an update."""
        raw = decode_as(body, fields.CommonBody, self._limits.json_depth)
        size = namespace_limits.parameter_bytes(identity.limits, self._limits)
        parameters = fields.parameters(raw.parameters, "parameters", size)
        annotations = fields.parameters(raw.annotations, "annotations", size)
        stored = await self._catalog.find(Trigger, name)
        if stored is not None and not overwrite:
            raise Conflict(EXISTS)
        if stored is None:
            _check_feed(annotations or ())
        before = stored or Trigger(name=name)
        trigger = Trigger(
            name=name,
            parameters=before.parameters if parameters is None else parameters,
            rules=before.rules,
            version=fields.version(raw.version, stored.version if stored else None),
            publish=fields.publish(raw.publish, before.publish),
            annotations=before.annotations if annotations is None else annotations,
            updated=self._clock.now_ms(),
            revision=before.revision,
        )
        return await self._catalog.put(trigger)

    async def delete(self, name: EntityName) -> Trigger:
        """Rules keep pointing to it, and report `inactive`."""
        trigger = await self._catalog.get(Trigger, name)
        await self._catalog.delete(trigger)
        return trigger

    async def change_links(self, name: EntityName, change: Callable[[Links], Links]) -> Trigger | None:
        """Apply `change` to the rules of a trigger; None if there is no such trigger.

        Repeated on the newest revision when somebody else writes the trigger meanwhile, so no link is lost.
        """
        async with self._links[hash(name) % _LOCKS]:  # those of this controller wait for each other
            for attempt in range(_ATTEMPTS):
                trigger = await self._catalog.fresh(Trigger, name)
                if trigger is None:
                    return None
                links = change(dict(trigger.rules))
                if links == trigger.rules:
                    return trigger
                try:
                    return await self._catalog.put(msgspec.structs.replace(trigger, rules=links))
                except Conflict:
                    await self._clock.sleep(random.uniform(0, _PAUSE_S * attempt))  # noqa: S311 - spreads attempts
        raise Conflict(CONCURRENT)


def _check_feed(annotations: Parameters) -> None:
    for annotation in annotations:
        if annotation.key == "feed" and not _is_path(annotation.value):
            raise BadRequest("Feed name is not valid")


def _is_path(value: object) -> bool:
    if not isinstance(value, str):
        return False
    parts = value.removeprefix("/").split("/")
    return len(parts) <= 3 and all(is_segment(part) for part in parts)
