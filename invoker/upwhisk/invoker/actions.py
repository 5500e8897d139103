"""The actions a node runs, read by exact revision and kept while they are used."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable

import msgspec

from upwhisk.common.errors import StoreUnavailable
from upwhisk.common.messages import ActionRef
from upwhisk.common.model.action import BLACKBOX, Action, from_document
from upwhisk.common.model.parameters import is_truthy, value_of
from upwhisk.common.spi.containers import ContainerSpec, Network
from upwhisk.common.spi.store import EntityStore

GONE = "Action could not be found or may have been deleted."
UNREADABLE = "Action version is not compatible and cannot be invoked."
UNFETCHED = "Action could not be fetched."


KnownActions = Callable[[ActionRef], Action | None]
"""An action in the very revision, if somebody in this process has it: then both hold the same code."""


class ActionGone(Exception):
    """The action was deleted between acceptance and run; the caller's loss."""


class ActionUnfetched(Exception):
    """The store did not give the action, or gave something that is none; ours. The text is the record's."""


class Runnable(msgspec.Struct, frozen=True):
    """An action prepared for running: what does not change between activations."""

    action: Action
    spec: ContainerSpec
    gives_key: bool
    bytes: int


class ActionCache:
    """Least recently used first out, bounded by the bytes of code kept. `known`: asked before the store."""

    def __init__(
        self,
        entities: EntityStore,
        default_network: Network,
        known: KnownActions | None = None,
        *,
        max_bytes: int = 64 * 1024 * 1024,
    ) -> None:
        self._entities = entities
        self._default_network = default_network
        self._known = known
        self._max_bytes = max_bytes
        self._kept: OrderedDict[tuple[str, str], Runnable] = OrderedDict()
        self._bytes = 0

    def cached(self, ref: ActionRef) -> Runnable | None:
        key = (ref.document_id, ref.revision)
        runnable = self._kept.get(key)
        if runnable is not None:
            self._kept.move_to_end(key)
        return runnable

    async def fetch(self, ref: ActionRef) -> Runnable:
        """`ActionGone` or `ActionUnfetched`. A newer revision than the one asked for is run instead."""
        runnable = self.cached(ref)
        if runnable is not None:
            return runnable
        known = self._known(ref) if self._known is not None else None
        action = known if known is not None else await self._read(ref)
        return self._keep(ref, prepare(action, self._default_network))

    async def _read(self, ref: ActionRef) -> Action:
        try:
            document = await self._entities.get(ref.document_id, attachment=True)
        except StoreUnavailable as error:
            raise ActionUnfetched(UNFETCHED) from error
        if document is None or document.collection != "actions":
            raise ActionGone(GONE)
        try:
            return from_document(document)
        except msgspec.ValidationError as error:
            raise ActionUnfetched(UNREADABLE) from error

    def _keep(self, ref: ActionRef, runnable: Runnable) -> Runnable:
        self._kept[ref.document_id, ref.revision] = runnable
        self._bytes += runnable.bytes
        while self._bytes > self._max_bytes and len(self._kept) > 1:
            _, dropped = self._kept.popitem(last=False)
            self._bytes -= dropped.bytes
        return runnable


def prepare(action: Action, default_network: Network) -> Runnable:
    network = value_of(action.annotations, "network")
    spec = ContainerSpec(
        kind=action.exec.kind,
        memory_mb=action.limits.memory,
        network=Network(network) if network else default_network,
        image=action.exec.image if action.exec.kind == BLACKBOX else None,
    )
    gives_key = is_truthy(value_of(action.annotations, "provide-api-key", True))
    return Runnable(action, spec, gives_key, 1024 + len(action.exec.code or ""))
