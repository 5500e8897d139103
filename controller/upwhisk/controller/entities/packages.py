"""Creating, updating and deleting packages."""

from __future__ import annotations

import msgspec

from upwhisk.common.clock import Clock
from upwhisk.common.errors import BadRequest, Conflict, NotFound, NotYetAvailable
from upwhisk.common.model.action import Action
from upwhisk.common.model.identity import Identity
from upwhisk.common.model.limits import SystemLimits
from upwhisk.common.model.package import Package
from upwhisk.common.model.parameters import Parameters
from upwhisk.common.names import EntityName
from upwhisk.common.spi.store import EntityQuery, EntityStore
from upwhisk.controller import namespace_limits
from upwhisk.controller.catalog import Catalog
from upwhisk.controller.entities import fields
from upwhisk.controller.entities.actions import EXISTS
from upwhisk.controller.json_body import decode_as, malformed_content

RESERVED = "default"


class PackageBody(fields.CommonBody):
    binding: fields.Field = fields.UNSET


class PackageWriter:
    def __init__(self, catalog: Catalog, entities: EntityStore, limits: SystemLimits, clock: Clock) -> None:
        self._catalog = catalog
        self._entities = entities
        self._limits = limits
        self._clock = clock

    async def put(self, identity: Identity, name: EntityName, body: bytes, *, overwrite: bool) -> Package:
        raw = decode_as(body, PackageBody, self._limits.json_depth)
        size = namespace_limits.parameter_bytes(identity.limits, self._limits)
        parameters = fields.parameters(raw.parameters, "parameters", size)
        annotations = fields.parameters(raw.annotations, "annotations", size)
        if name.name == RESERVED:
            raise BadRequest("Package name 'default' is reserved.")
        _check_binding(raw.binding)
        stored = await self._catalog.find(Package, name)
        if stored is not None and not overwrite:
            raise Conflict(EXISTS)
        package = Package(
            name=name,
            parameters=_replaced(parameters, stored.parameters if stored else ()),
            version=fields.version(raw.version, stored.version if stored else None),
            publish=fields.publish(raw.publish, stored.publish if stored else False),
            annotations=_unbound(_replaced(annotations, stored.annotations if stored else ())),
            updated=self._clock.now_ms(),
            revision=stored.revision if stored else None,
        )
        return await self._catalog.put(package)

    async def delete(self, name: EntityName, *, force: bool) -> Package:
        """`Conflict` for a package with actions, unless `force`: then they go first. Who creates one meanwhile, maybe at
        another controller, looks for the package afterwards, as is looked here for actions: neither stays alone."""
        package = await self._catalog.get(Package, name)
        await self._empty(name, force=force)
        await self._catalog.delete(package)
        try:
            await self._empty(name, force=force)
        except Exception:
            await self._catalog.put(msgspec.structs.replace(package, revision=None))
            raise
        return package

    async def _empty(self, name: EntityName, *, force: bool) -> None:
        query = EntityQuery(namespace=name.namespace, collection="actions", path=name.document_id)
        contents = await self._entities.list(query)
        if contents and not force:
            what = "entity" if len(contents) == 1 else "entities"
            text = f"Package not empty (contains {len(contents)} {what}). Set force param or delete package contents."
            raise Conflict(text)
        for document in contents:
            await self._delete_action(EntityName(name.namespace, name.name, document.name))

    async def _delete_action(self, name: EntityName) -> None:
        action = await self._catalog.find(Action, name)
        try:
            if action is not None:
                await self._catalog.delete(action)
        except NotFound:
            pass  # somebody else was faster: it is gone, which is what is wanted


def _check_binding(field: fields.Field) -> None:
    """`{}` is how clients say "an ordinary package"."""
    binding = fields.value_of(field, "binding")
    if binding is fields.UNSET or binding == {}:
        return
    if not isinstance(binding, dict):
        raise malformed_content("'binding' must be an object")
    raise NotYetAvailable("Binding packages")


def _replaced(new: Parameters | None, stored: Parameters) -> Parameters:
    return stored if new is None else new


def _unbound(annotations: Parameters) -> Parameters:
    """`binding` is written by the platform alone, and only on bindings."""
    return tuple(p for p in annotations if p.key != "binding")
