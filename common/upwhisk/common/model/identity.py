"""Who calls: a subject in one namespace, and what that namespace may use."""

from __future__ import annotations

import msgspec


class NamespaceLimits(msgspec.Struct, frozen=True, omit_defaults=True, rename="camel", forbid_unknown_fields=True):
    """What an operator set for one namespace; unset fields mean the system's value. Memory and logs in MB,
    timeouts in ms, sizes as texts such as `1 MB`."""

    invocations_per_minute: int | None = None
    fires_per_minute: int | None = None
    concurrent_invocations: int | None = None
    allowed_kinds: tuple[str, ...] | None = None
    store_activations: bool | None = None
    min_action_memory: int | None = None
    max_action_memory: int | None = None
    min_action_logs: int | None = None
    max_action_logs: int | None = None
    min_action_timeout: int | None = None
    max_action_timeout: int | None = None
    min_action_concurrency: int | None = None
    max_action_concurrency: int | None = None
    max_parameter_size: str | None = None
    max_payload_size: str | None = None
    truncation_size: str | None = None
    warmed_container_keeping_count: int | None = None
    warmed_container_keeping_timeout: str | None = None
    max_action_instances: int | None = None


UNLIMITED = NamespaceLimits()
"""Nothing was set."""


class NamespaceKey(msgspec.Struct, frozen=True):
    """One namespace of a subject, with the credentials that select it. `uuid:key` is the login."""

    name: str
    uuid: str
    key: str


class Subject(msgspec.Struct, frozen=True, omit_defaults=True):
    """A stored subject document."""

    subject: str
    namespaces: tuple[NamespaceKey, ...] = ()
    blocked: bool = False


class Identity(msgspec.Struct, frozen=True):
    """The authenticated caller: one subject in one namespace."""

    subject: str
    namespace: str
    uuid: str
    limits: NamespaceLimits = NamespaceLimits()
