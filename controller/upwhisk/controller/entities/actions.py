"""Creating, updating and deleting actions."""

from __future__ import annotations

import asyncio
import contextlib

import msgspec

from upwhisk.common.clock import Clock
from upwhisk.common.errors import BadRequest, Conflict, NotFound
from upwhisk.common.model.action import SEQUENCE, Action, Exec
from upwhisk.common.model.identity import Identity
from upwhisk.common.model.limits import SystemLimits
from upwhisk.common.model.package import Package
from upwhisk.common.model.parameters import Parameter, Parameters, value_of, with_annotation
from upwhisk.common.names import EntityName
from upwhisk.common.spi.containers import Network
from upwhisk.controller import namespace_limits
from upwhisk.controller.catalog import Catalog
from upwhisk.controller.entities import fields
from upwhisk.controller.entities.action_limits import merge_limits, parse_limits
from upwhisk.controller.entities.executable import no_longer_supported, parse_exec
from upwhisk.controller.entities.sequences import SequenceChecker
from upwhisk.controller.entitlement import check_kind
from upwhisk.controller.json_body import decode_as
from upwhisk.controller.kinds import KindsPort

EXISTS = "resource already exists"


class ActionBody(fields.CommonBody):
    exec: fields.Field = fields.UNSET
    limits: fields.Field = fields.UNSET
    delAnnotations: fields.Field = fields.UNSET


class ParsedAction(msgspec.Struct, frozen=True):
    """A PUT body, read; what it does not say is None."""

    exec: Exec | None
    parameters: Parameters | None
    annotations: Parameters | None
    removed: tuple[str, ...]
    limits: dict[str, int]
    body: ActionBody


def parse_action(body: bytes, identity: Identity, kinds: KindsPort, system: SystemLimits) -> ParsedAction:
    """Everything that can be said of a body without looking at the store. ◆ pure."""
    raw = decode_as(body, ActionBody, system.json_depth)
    size = namespace_limits.parameter_bytes(identity.limits, system)
    exec_ = parse_exec(raw.exec, identity.namespace, kinds, system.code_bytes)
    annotations = fields.parameters(raw.annotations, "annotations", size)
    removed = fields.texts(raw.delAnnotations, "delAnnotations", size)
    _check_network(annotations or (), kinds)
    return ParsedAction(
        exec=exec_,
        parameters=fields.parameters(raw.parameters, "parameters", size),
        annotations=annotations,
        # Upstream rebuilds the request of a sequence and loses this field; its clients have got used to it.
        removed=() if exec_ is not None and exec_.kind == SEQUENCE else removed,
        limits=parse_limits(raw.limits),
        body=raw,
    )


def _check_network(annotations: Parameters, kinds: KindsPort) -> None:
    network = value_of(annotations, "network")
    if network is None:
        return
    if network not in tuple(Network):
        choices = ", ".join(f"'{n}'" for n in Network)
        raise BadRequest(f"The annotation 'network' must be one of {choices}, not {str(network)[:40]!r}.")
    refusal = kinds.refuse_network(network)
    if refusal is not None:
        raise BadRequest(refusal)


class ActionWriter:
    def __init__(self, catalog: Catalog, kinds: KindsPort, limits: SystemLimits, clock: Clock) -> None:
        self._catalog = catalog
        self._kinds = kinds
        self._limits = limits
        self._clock = clock
        self._sequences = SequenceChecker(catalog, limits.sequence_length)
        self._sequence_puts = asyncio.Lock()

    async def put(
        self, identity: Identity, name: EntityName, parsed: ParsedAction, *, overwrite: bool
    ) -> Action:
        """Create, or with `overwrite` update. The caller has been found entitled to `name`'s namespace."""
        await self._check_package(name)
        stored = await self._catalog.find(Action, name)
        if stored is not None and not overwrite:
            raise Conflict(EXISTS)
        exec_ = parsed.exec or (stored.exec if stored is not None else None)
        if exec_ is None:
            raise BadRequest("exec undefined")
        check_kind(identity, exec_.kind)
        if parsed.exec is None and exec_.kind != SEQUENCE and self._kinds.deprecated(exec_.kind):
            raise BadRequest(no_longer_supported(exec_.kind))
        if parsed.exec is None or exec_.kind != SEQUENCE:
            return await self._put(self._merge(identity, name, parsed, stored, exec_))
        async with self._sequence_puts:  # two that would hold each other are not both checked before either is there
            await self._sequences.check(identity, name, exec_.components)
            return await self._put(self._merge(identity, name, parsed, stored, exec_))

    async def _put(self, action: Action) -> Action:
        """`NotFound` if its package was deleted meanwhile: without one it could not be reached."""
        stored = await self._catalog.put(action)
        if not await self._has_package(action.name):
            with contextlib.suppress(NotFound):
                await self._catalog.delete(stored)
            raise NotFound()
        return stored

    async def _has_package(self, name: EntityName) -> bool:
        try:
            return name.its_package is None or await self._catalog.fresh(Package, name.its_package) is not None
        except Conflict:  # its name is another entity's by now
            return False

    async def delete(self, name: EntityName) -> Action:
        await self._check_package(name)
        action = await self._catalog.get(Action, name)
        await self._catalog.delete(action)
        return action

    async def _check_package(self, name: EntityName) -> None:
        if name.its_package is None:
            return
        package = await self._catalog.find(Package, name.its_package)
        if package is None:
            raise NotFound()
        if package.binding is not None:
            raise BadRequest("Operation not permitted on package binding.")

    def _merge(
        self, identity: Identity, name: EntityName, parsed: ParsedAction, stored: Action | None, exec_: Exec
    ) -> Action:
        namespace, system = identity.limits, self._limits
        return Action(
            name=name,
            exec=exec_,
            parameters=_merged_parameters(parsed, stored, exec_),
            limits=merge_limits(parsed.limits, stored.limits if stored else None, namespace, system),
            version=fields.version(parsed.body.version, stored.version if stored else None),
            publish=fields.publish(parsed.body.publish, stored.publish if stored else False),
            annotations=self._merged_annotations(identity, parsed, stored, exec_),
            updated=self._clock.now_ms(),
            revision=stored.revision if stored else None,
        )

    def _merged_annotations(
        self, identity: Identity, parsed: ParsedAction, stored: Action | None, exec_: Exec
    ) -> Parameters:
        size = namespace_limits.parameter_bytes(identity.limits, self._limits)
        old = stored.annotations if stored is not None else ()
        merged = fields.merged_annotations(old, parsed.removed, parsed.annotations, size)
        if stored is None and not any(p.key == "provide-api-key" for p in merged):
            merged = (*merged, Parameter("provide-api-key", False))
        return with_annotation(merged, "exec", exec_.kind)


def _merged_parameters(parsed: ParsedAction, stored: Action | None, exec_: Exec) -> Parameters:
    """A sequence's parameters are its components; a stored sequence keeps them whatever a body without `exec` says."""
    if parsed.exec is not None and exec_.kind == SEQUENCE:
        return (Parameter("_actions", list(exec_.components)),)
    if stored is None:
        return parsed.parameters or ()
    if stored.is_sequence and parsed.exec is None:
        return stored.parameters
    if parsed.parameters is not None:
        return parsed.parameters
    return () if stored.is_sequence else stored.parameters
