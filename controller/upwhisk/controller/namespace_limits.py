"""What one namespace may use: its own limits, clipped to the system's. ◆ pure."""

from __future__ import annotations

import re
from typing import Any, Final

from upwhisk.common.model.identity import NamespaceLimits
from upwhisk.common.model.limits import MIB, Range, SystemLimits

_SIZE: Final = re.compile(r"\A(\d{1,15})\s*(bytes?|b|kb?|mb?|gb?)\Z", re.IGNORECASE)
_UNITS: Final = {"b": 1, "k": 1024, "m": MIB, "g": 1024 * MIB}
_OWN: Final = {
    "timeout": ("min_action_timeout", "max_action_timeout"),
    "memory": ("min_action_memory", "max_action_memory"),
    "logs": ("min_action_logs", "max_action_logs"),
    "concurrency": ("min_action_concurrency", "max_action_concurrency"),
}


def parse_size(text: str) -> int | None:
    """Bytes of a text such as `1 MB`; None if it is none."""
    match = _SIZE.match(text.strip())
    return None if match is None else int(match[1]) * _UNITS[match[2][0].lower()]


def size_text(size: int) -> str:
    for unit, factor in (("GB", _UNITS["g"]), ("MB", MIB), ("KB", 1024)):
        if size >= factor and size % factor == 0:
            return f"{size // factor} {unit}"
    return f"{size} B"


def allowed_range(name: str, namespace: NamespaceLimits, system: SystemLimits) -> Range:
    """`name`: `timeout`, `memory`, `logs` or `concurrency`. A namespace can narrow the system's range, not widen it."""
    whole: Range = getattr(system, name)
    low: int | None = getattr(namespace, _OWN[name][0])
    high: int | None = getattr(namespace, _OWN[name][1])
    return Range(
        whole.min if low is None else max(low, whole.min),
        whole.default,
        whole.max if high is None else min(high, whole.max),
    )


def concurrent_invocations(namespace: NamespaceLimits, system: SystemLimits) -> int:
    own = namespace.concurrent_invocations
    return system.concurrent_invocations if own is None else own


def parameter_bytes(namespace: NamespaceLimits, system: SystemLimits) -> int:
    return _clipped(namespace.max_parameter_size, system.parameter_bytes)


def payload_bytes(namespace: NamespaceLimits, system: SystemLimits) -> int:
    return _clipped(namespace.max_payload_size, system.payload_bytes)


def entity_bytes(system: SystemLimits) -> int:
    """The largest body of an entity without code: parameters and annotations, escaped as wastefully as JSON allows."""
    return min(system.body_bytes, 16 * system.parameter_bytes + MIB)


def _clipped(own: str | None, whole: int) -> int:
    size = None if own is None else parse_size(own)
    return whole if size is None else min(size, whole)


def limits_document(namespace: NamespaceLimits, system: SystemLimits) -> dict[str, Any]:
    """What `GET .../limits` shows."""
    document: dict[str, Any] = {
        "invocationsPerMinute": _or(namespace.invocations_per_minute, system.invocations_per_minute),
        "concurrentInvocations": concurrent_invocations(namespace, system),
        "firesPerMinute": _or(namespace.fires_per_minute, system.fires_per_minute),
    }
    for name, shown in (
        ("memory", "Memory"),
        ("logs", "Logs"),
        ("timeout", "Timeout"),
        ("concurrency", "Concurrency"),
    ):
        allowed = allowed_range(name, namespace, system)
        document[f"minAction{shown}"] = allowed.min
        document[f"maxAction{shown}"] = allowed.max
    document["maxParameterSize"] = size_text(parameter_bytes(namespace, system))
    document["maxActionInstances"] = _or(
        namespace.max_action_instances, concurrent_invocations(namespace, system)
    )
    document.update(_only_if_set(namespace))
    return document


def _only_if_set(namespace: NamespaceLimits) -> dict[str, Any]:
    optional = {
        "allowedKinds": namespace.allowed_kinds,
        "storeActivations": namespace.store_activations,
        "maxPayloadSize": namespace.max_payload_size,
        "truncationSize": namespace.truncation_size,
        "warmedContainerKeepingCount": namespace.warmed_container_keeping_count,
        "warmedContainerKeepingTimeout": namespace.warmed_container_keeping_timeout,
    }
    return {name: value for name, value in optional.items() if value is not None}


def _or(own: int | None, whole: int) -> int:
    return whole if own is None else own
