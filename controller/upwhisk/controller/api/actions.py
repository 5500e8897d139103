"""`/namespaces/{ns}/actions`: parse -> call -> answer."""

from __future__ import annotations

import asyncio
from typing import Final

import msgspec

from upwhisk.common.errors import BadRequest, NotFound
from upwhisk.common.model.activation import Activation, Status
from upwhisk.common.model.package import Package
from upwhisk.common.names import EntityName
from upwhisk.common.spi.store import EntityQuery
from upwhisk.controller.api.lists import list_entities
from upwhisk.controller.api.ports import Call, Services
from upwhisk.controller.api.query import flag, wait_ms
from upwhisk.controller.api.reply import JSON, Reply, encode, json_reply
from upwhisk.controller.api.request import Request
from upwhisk.controller.api.views import action_row, action_view
from upwhisk.controller.entities.actions import ActionWriter, parse_action
from upwhisk.controller.entitlement import check_action, check_namespace, check_own, refused_entity
from upwhisk.controller.json_body import decode_object
from upwhisk.controller.namespace_limits import payload_bytes
from upwhisk.controller.resolved import ResolvedAction

_THREAD_ABOVE: Final = 512 * 1024
"""Bodies above this size are parsed beside the event loop."""
_STATUS_CODES: Final = {
    Status.SUCCESS: 200,
    Status.APPLICATION_ERROR: 502,
    Status.DEVELOPER_ERROR: 502,
    Status.WHISK_ERROR: 500,
}
_BODY_MISSING: Final = "Request entity expected but not supplied"


class ActionsApi:
    def __init__(self, services: Services) -> None:
        self._services = services
        self._writer = ActionWriter(services.catalog, services.kinds, services.limits, services.clock)

    async def list(self, request: Request) -> Reply:
        namespace = request.namespace
        check_namespace(request.identity, namespace)
        query = EntityQuery(namespace=namespace, collection="actions")
        return await list_entities(self._services, request, query, action_row)

    async def list_package(self, request: Request) -> Reply:
        name = EntityName(request.namespace, None, request.parameters[1])
        await readable_package(self._services, request, name)
        query = EntityQuery(namespace=name.namespace, collection="actions", path=name.document_id)
        return await list_entities(self._services, request, query, action_row)

    async def get(self, request: Request) -> Reply:
        code = flag(request.query, "code", True)
        resolved = await self._reachable(request)
        return json_reply(action_view(resolved.action, code=code))

    async def put(self, request: Request) -> Reply:
        name = action_name(request)
        check_own(request.identity, name)
        overwrite = flag(request.query, "overwrite")
        body = required(await request.json_bytes(self._services.limits.body_bytes))
        arguments = (body, request.identity, self._services.kinds, self._services.limits)
        if len(body) > _THREAD_ABOVE:
            parsed = await asyncio.to_thread(parse_action, *arguments)
        else:
            parsed = parse_action(*arguments)
        action = await self._writer.put(request.identity, name, parsed, overwrite=overwrite)
        return json_reply(action_view(action))

    async def delete(self, request: Request) -> Reply:
        name = action_name(request)
        check_own(request.identity, name)
        return json_reply(action_view(await self._writer.delete(name)))

    async def invoke(self, request: Request) -> Reply:
        """Blocking calls are answered by the record, or, when it takes too long, as others are: by the id."""
        query = request.query
        blocking = flag(query, "blocking")
        only_result = flag(query, "result") and blocking
        wait = wait_ms(query, self._services.limits.blocking_wait_ms)
        resolved = await self._reachable(request)
        body = await request.json_bytes(
            payload_bytes(request.identity.limits, self._services.limits), field="Request"
        )
        payload = decode_object(body, self._services.limits.json_depth) if body else {}
        call = Call(request.identity, resolved, payload, request.transaction_id, blocking, wait, request.traceparent)
        invoked = await self._services.invocations.invoke(call)
        header = f"x-openwhisk-activation-id: {invoked.activation_id}\r\n"
        if invoked.record is None:
            return Reply(202, b'{"activationId":"%b"}' % invoked.activation_id.encode(), JSON, header)
        return _finished(invoked.record, header, only_result=only_result)

    async def _reachable(self, request: Request) -> ResolvedAction:
        """The action of the path, if the caller may read and invoke it."""
        name = action_name(request)
        own = name.namespace == request.identity.namespace
        if not own and name.package is None:
            raise refused_entity(name)
        resolved = self._services.catalog.warm(name.document_id)
        if resolved is None:
            if not own:
                await readable_package(
                    self._services, request, EntityName(name.namespace, None, name.package or "")
                )
            resolved = await self._services.catalog.resolve(name)
            if resolved is None:
                raise NotFound()
        check_action(request.identity, name, resolved)
        return resolved


def action_name(request: Request) -> EntityName:
    parameters = request.parameters
    if len(parameters) == 2:
        return EntityName(request.namespace, None, parameters[1])
    return EntityName(request.namespace, parameters[1], parameters[2])


async def readable_package(services: Services, request: Request, name: EntityName) -> Package:
    """`NotAuthorized` for foreign packages that are not shared, whether they exist or not."""
    if name.namespace == request.identity.namespace:
        package = await services.catalog.find(Package, name)
        if package is None:
            raise NotFound(f"The requested resource '{name.document_id}' does not exist.")
        return package
    entity = await services.catalog.peek(name)
    if not isinstance(entity, Package) or not entity.is_shared:
        raise refused_entity(name)
    return entity


def required(body: bytes) -> bytes:
    if not body:
        raise BadRequest(_BODY_MISSING)
    return body


def _finished(record: Activation, header: str, *, only_result: bool) -> Reply:
    """Arrays are answered bare, with or without `result`; answers never hold logs."""
    response = record.response
    status = _STATUS_CODES[response.code]
    result = response.result
    if only_result or _is_array(result):
        return Reply(status, b"{}" if result is msgspec.UNSET else encode(result), JSON, header)
    if record.logs:
        record = msgspec.structs.replace(record, logs=())
    return Reply(status, encode(record), JSON, header)


def _is_array(result: object) -> bool:
    if isinstance(result, msgspec.Raw):
        return bytes(memoryview(result)[:64]).lstrip().startswith(b"[")
    return isinstance(result, list | tuple)
