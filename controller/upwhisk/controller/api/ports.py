"""What the REST face asks of the parts behind it: running, firing, watching. Implemented elsewhere."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol

import msgspec

from upwhisk.common.clock import Clock
from upwhisk.common.ids import ActivationId
from upwhisk.common.model.activation import Activation
from upwhisk.common.model.identity import Identity
from upwhisk.common.model.limits import SystemLimits
from upwhisk.common.model.trigger import Trigger
from upwhisk.common.spi.logs import LogStore
from upwhisk.common.spi.nodes import NodeRegistry
from upwhisk.common.spi.store import ActivationStore, EntityStore
from upwhisk.controller.catalog import Catalog, ResolvedAction
from upwhisk.controller.kinds import KindsPort


class Call(msgspec.Struct, frozen=True):
    """One invocation as the caller wants it.

    `payload`: the caller's own object, not merged with the action's parameters. `wait_ms` bounds the wait of a
    blocking call, never the run.
    """

    identity: Identity
    action: ResolvedAction
    payload: dict[str, Any]
    transaction_id: str
    blocking: bool
    wait_ms: int
    traceparent: str | None = None


class Invoked(msgspec.Struct, frozen=True):
    """`record` None: accepted, not finished within the wait (or nobody waits)."""

    activation_id: ActivationId
    record: Activation | None


class Invocations(Protocol):
    async def invoke(self, call: Call) -> Invoked:
        """Return when the id is durable. `HttpError` when the call is refused: nothing was accepted then."""
        ...


class Fires(Protocol):
    async def fire(
        self,
        identity: Identity,
        trigger: Trigger,
        payload: dict[str, Any],
        headers: Mapping[str, str],
        transaction_id: str,
        traceparent: str | None = None,
    ) -> ActivationId | None:
        """`headers`: of the request, names in lower case, credentials left out. None: no active rule, no record."""
        ...


class LiveActivations(Protocol):
    """Activations that are not done, and why they went where they went."""

    def live(self, namespace: str, id: ActivationId) -> dict[str, Any] | None:
        """State and phases of an activation without a final record, or None."""
        ...

    def why(self, namespace: str, id: ActivationId) -> dict[str, Any] | None:
        """The reasons of its placement, or None if they are unknown or no longer kept."""
        ...

    def in_flight(self) -> list[ActivationId]:
        """Every activation this controller has accepted and not yet seen the end of."""
        ...

    async def cancel(self, namespace: str, id: ActivationId) -> bool:
        """False if there is nothing to cancel."""
        ...


@dataclass(frozen=True, slots=True)
class ComponentHealth:
    ok: bool
    detail: str = ""


class Health(Protocol):
    async def components(self) -> Mapping[str, ComponentHealth]:
        """State of store, bus, registry, containers. Bounded in time by the implementation."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Services:
    """Everything the handlers need, grouped once by the composition root."""

    catalog: Catalog
    entities: EntityStore
    activations: ActivationStore
    logs: LogStore
    invocations: Invocations
    fires: Fires
    live: LiveActivations
    kinds: KindsPort
    nodes: NodeRegistry
    health: Health
    limits: SystemLimits
    clock: Clock
