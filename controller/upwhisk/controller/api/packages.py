"""`/namespaces/{ns}/packages`."""

from __future__ import annotations

from typing import cast

from upwhisk.common.model.action import Action
from upwhisk.common.names import EntityName
from upwhisk.common.spi.store import EntityQuery
from upwhisk.controller.api.actions import readable_package, required
from upwhisk.controller.api.lists import list_entities
from upwhisk.controller.api.ports import Services
from upwhisk.controller.api.query import flag
from upwhisk.controller.api.reply import Reply, json_reply
from upwhisk.controller.api.request import Request
from upwhisk.controller.api.views import package_contents, package_row, package_view
from upwhisk.controller.catalog import read_document
from upwhisk.controller.entities.packages import PackageWriter
from upwhisk.controller.entitlement import check_own
from upwhisk.controller.namespace_limits import entity_bytes


class PackagesApi:
    def __init__(self, services: Services) -> None:
        self._services = services
        self._writer = PackageWriter(services.catalog, services.entities, services.limits, services.clock)

    async def list(self, request: Request) -> Reply:
        """Foreign namespaces show what they share; one that does not exist shows nothing."""
        namespace = request.namespace
        foreign = namespace != request.identity.namespace
        query = EntityQuery(namespace=namespace, collection="packages", public_only=foreign)
        return await list_entities(self._services, request, query, package_row)

    async def get(self, request: Request) -> Reply:
        name = entity_name(request)
        package = await readable_package(self._services, request, name)
        query = EntityQuery(namespace=name.namespace, collection="actions", path=name.document_id)
        documents = await self._services.entities.list(query)
        actions = [cast(Action, read_document(document)) for document in documents]
        return json_reply({**package_view(package), **package_contents(actions)})

    async def put(self, request: Request) -> Reply:
        name = entity_name(request)
        check_own(request.identity, name)
        overwrite = flag(request.query, "overwrite")
        body = required(await request.json_bytes(entity_bytes(self._services.limits)))
        return json_reply(
            package_view(await self._writer.put(request.identity, name, body, overwrite=overwrite))
        )

    async def delete(self, request: Request) -> Reply:
        name = entity_name(request)
        check_own(request.identity, name)
        force = flag(request.query, "force")
        # The text of a missing package names it.
        await readable_package(self._services, request, name)
        return json_reply(package_view(await self._writer.delete(name, force=force)))


def entity_name(request: Request) -> EntityName:
    return EntityName(request.namespace, None, request.parameters[1])
