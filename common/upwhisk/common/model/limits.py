"""Limits of an action, and the system's bounds on everything a caller sends.

The numbers and texts are OpenWhisk's (`docs/wire.md`, "System limits").
"""

from __future__ import annotations

from typing import Annotated

import msgspec

MIB = 1024 * 1024


class ActionLimits(msgspec.Struct, frozen=True, omit_defaults=False):
    """`timeout` in ms, `memory` and `logs` in MB; `instances` only if it was given."""

    timeout: int = 60_000
    memory: int = 256
    logs: int = 10
    concurrency: int = 1
    instances: int | msgspec.UnsetType = msgspec.UNSET


class Range(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    min: int
    default: int
    max: int


class SystemLimits(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Durations in ms, memory and logs in MB, sizes in bytes."""

    timeout: Range = Range(100, 60_000, 300_000)
    memory: Range = Range(128, 256, 512)
    logs: Range = Range(0, 10, 10)
    concurrency: Range = Range(1, 1, 200)
    code_bytes: int = 48 * MIB
    parameter_bytes: int = MIB
    payload_bytes: int = MIB
    result_bytes: int = MIB
    body_bytes: Annotated[int, msgspec.Meta(ge=1024)] = 50 * MIB
    json_depth: Annotated[int, msgspec.Meta(ge=8, le=800)] = 500
    sequence_length: int = 50
    blocking_wait_ms: int = 60_000
    list_default: int = 30
    list_max: int = 200
    invocations_per_minute: int = 60
    concurrent_invocations: int = 30
    fires_per_minute: int = 60
