"""The REST face in this process, with scripted parts behind it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass

from fakes.scripted import EchoInvocations, RecordingFires, ScriptedHealth, ScriptedKinds, ScriptedLive
from prometheus_client import CollectorRegistry

from upwhisk.backends.logs.inline import InlineLogStore
from upwhisk.backends.nodes.memory import MemoryRegistry
from upwhisk.backends.store.memory import MemoryStore
from upwhisk.common.clock import SystemClock
from upwhisk.common.model.identity import NamespaceKey, Subject
from upwhisk.common.model.limits import SystemLimits
from upwhisk.common.settings import RetentionSettings
from upwhisk.common.spi.store import DocumentStore
from upwhisk.controller.admission import Admission
from upwhisk.controller.api.ports import Services
from upwhisk.controller.api.routes import api_server
from upwhisk.controller.api.server import ApiServer, ListenerSettings
from upwhisk.controller.auth import Authenticator, WatchedSubjects
from upwhisk.controller.catalog import Catalog

GUEST = "23bc46b1-71f6-4ed5-8c54-816aa4f8c502:" + "a" * 64
_LIMITS = SystemLimits()
OTHER = "789c46b1-71f6-4ed5-8c54-816aa4f8c502:" + "b" * 64


@dataclass(frozen=True)
class InProcess:
    server: ApiServer
    store: DocumentStore
    subjects: WatchedSubjects
    services: Services
    invocations: EchoInvocations
    fires: RecordingFires
    live: ScriptedLive
    health: ScriptedHealth
    registry: MemoryRegistry


@asynccontextmanager
async def in_process(
    limits: SystemLimits = _LIMITS,
    *,
    header_timeout_s: float = 5.0,
    opened: AbstractAsyncContextManager[DocumentStore] | None = None,
) -> AsyncIterator[InProcess]:
    """`opened`: the store, started when it is entered; by default one in memory."""
    # The tests' records are older than any retention allows.
    default = MemoryStore(retention=RetentionSettings(max_age_s=0))
    clock = SystemClock()
    logs = InlineLogStore()
    async with opened or default as store, logs:
        authenticator: Authenticator
        subjects = WatchedSubjects(store.subjects, lambda: authenticator.forget())
        authenticator = Authenticator(subjects, clock)
        for auth, name in ((GUEST, "guest"), (OTHER, "other")):
            uuid, _, key = auth.partition(":")
            await subjects.put(Subject(name, (NamespaceKey(name, uuid, key),)))
        catalog = Catalog(store.entities)
        kinds = ScriptedKinds()
        invocations = EchoInvocations(store, Admission(catalog, kinds, limits))
        fires = RecordingFires(store, catalog)
        live, health, registry = ScriptedLive(), ScriptedHealth(), MemoryRegistry()
        services = Services(
            catalog=catalog,
            entities=store.entities,
            activations=store.activations,
            logs=logs,
            invocations=invocations,
            fires=fires,
            live=live,
            kinds=kinds,
            nodes=registry,
            health=health,
            limits=limits,
            clock=clock,
        )
        settings = ListenerSettings(host="127.0.0.1", port=0, header_timeout_s=header_timeout_s, drain_s=2.0)
        server = api_server(settings, services, authenticator, CollectorRegistry())
        async with server:
            yield InProcess(server, store, subjects, services, invocations, fires, live, health, registry)
