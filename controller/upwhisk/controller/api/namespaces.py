"""`/namespaces` and `/namespaces/{ns}/limits`."""

from __future__ import annotations

from upwhisk.common.errors import BadRequest
from upwhisk.controller.api.ports import Services
from upwhisk.controller.api.reply import Reply, json_reply
from upwhisk.controller.api.request import Request
from upwhisk.controller.entitlement import check_namespace
from upwhisk.controller.namespace_limits import limits_document


class NamespacesApi:
    def __init__(self, services: Services) -> None:
        self._services = services

    async def list(self, request: Request) -> Reply:
        """Always exactly the one namespace of the credentials."""
        return json_reply([request.identity.namespace])

    async def limits(self, request: Request) -> Reply:
        check_namespace(request.identity, request.namespace)
        return json_reply(limits_document(request.identity.limits, self._services.limits))

    async def inner_limits(self, _request: Request) -> Reply:
        raise BadRequest("Inner entity level routes for limits are not yet implemented.")
