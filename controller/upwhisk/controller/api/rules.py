"""`/namespaces/{ns}/rules`."""

from __future__ import annotations

from upwhisk.common.model.rule import Rule
from upwhisk.common.spi.store import EntityQuery
from upwhisk.controller.api.actions import required
from upwhisk.controller.api.lists import list_entities
from upwhisk.controller.api.packages import entity_name
from upwhisk.controller.api.ports import Services
from upwhisk.controller.api.query import flag
from upwhisk.controller.api.reply import Reply, json_reply, text_reply
from upwhisk.controller.api.request import Request
from upwhisk.controller.api.views import rule_row, rule_view
from upwhisk.controller.entities.rules import RuleWriter, parse_status
from upwhisk.controller.entities.triggers import TriggerWriter
from upwhisk.controller.entitlement import check_namespace, check_own
from upwhisk.controller.namespace_limits import entity_bytes


class RulesApi:
    def __init__(self, services: Services) -> None:
        self._services = services
        triggers = TriggerWriter(services.catalog, services.limits, services.clock)
        self._writer = RuleWriter(services.catalog, triggers, services.limits, services.clock)

    async def list(self, request: Request) -> Reply:
        check_namespace(request.identity, request.namespace)
        query = EntityQuery(namespace=request.namespace, collection="rules")
        return await list_entities(self._services, request, query, rule_row)

    async def get(self, request: Request) -> Reply:
        name = entity_name(request)
        check_own(request.identity, name)
        rule = await self._services.catalog.get(Rule, name)
        return json_reply(rule_view(rule, await self._writer.status(rule)))

    async def put(self, request: Request) -> Reply:
        name = entity_name(request)
        check_own(request.identity, name)
        overwrite = flag(request.query, "overwrite")
        body = required(await request.json_bytes(entity_bytes(self._services.limits)))
        rule, status = await self._writer.put(request.identity, name, body, overwrite=overwrite)
        return json_reply(rule_view(rule, status))

    async def delete(self, request: Request) -> Reply:
        name = entity_name(request)
        check_own(request.identity, name)
        return json_reply(rule_view(await self._writer.delete(name), "inactive"))

    async def set_status(self, request: Request) -> Reply:
        name = entity_name(request)
        check_own(request.identity, name)
        limits = self._services.limits
        status = parse_status(required(await request.json_bytes(limits.payload_bytes)), limits.json_depth)
        await self._writer.set_status(name, status)
        return text_reply("OK")
