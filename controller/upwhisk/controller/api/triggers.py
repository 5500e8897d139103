"""`/namespaces/{ns}/triggers`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from upwhisk.common.model.trigger import Trigger
from upwhisk.common.spi.store import EntityQuery
from upwhisk.controller.api.actions import required
from upwhisk.controller.api.lists import list_entities
from upwhisk.controller.api.packages import entity_name
from upwhisk.controller.api.ports import Services
from upwhisk.controller.api.query import flag
from upwhisk.controller.api.reply import JSON, Reply, json_reply
from upwhisk.controller.api.request import Request
from upwhisk.controller.api.views import trigger_row, trigger_view
from upwhisk.controller.entities.triggers import TriggerWriter
from upwhisk.controller.entitlement import check_namespace, check_own
from upwhisk.controller.json_body import decode_object
from upwhisk.controller.namespace_limits import entity_bytes, payload_bytes

_WITHHELD: Final = frozenset({"authorization", "proxy-authorization", "x-ow-extra-logging"})
"""Guests never get the caller's key unless their action asks for it; the last is an order to the platform."""


class TriggersApi:
    def __init__(self, services: Services) -> None:
        self._services = services
        self._writer = TriggerWriter(services.catalog, services.limits, services.clock)

    async def list(self, request: Request) -> Reply:
        check_namespace(request.identity, request.namespace)
        query = EntityQuery(namespace=request.namespace, collection="triggers")
        return await list_entities(self._services, request, query, trigger_row)

    async def get(self, request: Request) -> Reply:
        name = entity_name(request)
        check_own(request.identity, name)
        return json_reply(trigger_view(await self._services.catalog.get(Trigger, name)))

    async def put(self, request: Request) -> Reply:
        name = entity_name(request)
        check_own(request.identity, name)
        overwrite = flag(request.query, "overwrite")
        body = required(await request.json_bytes(entity_bytes(self._services.limits)))
        return json_reply(
            trigger_view(await self._writer.put(request.identity, name, body, overwrite=overwrite))
        )

    async def delete(self, request: Request) -> Reply:
        name = entity_name(request)
        check_own(request.identity, name)
        return json_reply(trigger_view(await self._writer.delete(name)))

    async def fire(self, request: Request) -> Reply:
        """204 when no active rule listens."""
        name = entity_name(request)
        check_own(request.identity, name)
        limits = self._services.limits
        body = await request.json_bytes(payload_bytes(request.identity.limits, limits), field="Request")
        payload = decode_object(body, limits.json_depth) if body else {}
        trigger = await self._services.catalog.get(Trigger, name)
        headers = _forwarded(request.http.headers)
        activation_id = await self._services.fires.fire(
            request.identity, trigger, payload, headers, request.transaction_id, request.traceparent
        )
        if activation_id is None:
            return Reply(204)
        header = f"x-openwhisk-activation-id: {activation_id}\r\n"
        return Reply(202, b'{"activationId":"%b"}' % activation_id.encode(), JSON, header)


def _forwarded(headers: Mapping[str, str]) -> dict[str, str]:
    lower = ((name.lower(), value.encode("utf-8", "replace").decode()) for name, value in headers.items())
    return {name: value for name, value in lower if name not in _WITHHELD}
