"""`upwhisk admin limits ...`: what a namespace may use."""

from __future__ import annotations

from typing import Any, Final

import msgspec

from upwhisk.common.errors import DocumentMissing
from upwhisk.common.model.identity import NamespaceLimits
from upwhisk.common.names import is_namespace
from upwhisk.common.spi.store import SubjectStore
from upwhisk.controller.admin_answer import NOT_FOUND, Answer, no_namespace
from upwhisk.controller.namespace_limits import parse_size

NOT_ENFORCED: Final = "{} is stored and shown, but not enforced yet."
LIMIT_ORDER: Final = (
    "invocationsPerMinute",
    "firesPerMinute",
    "concurrentInvocations",
    "allowedKinds",
    "storeActivations",
    "minActionMemory",
    "maxActionMemory",
    "minActionLogs",
    "maxActionLogs",
    "minActionTimeout",
    "maxActionTimeout",
    "minActionConcurrency",
    "maxActionConcurrency",
    "maxParameterSize",
    "maxPayloadSize",
    "truncationSize",
)
_LATER: Final = ("invocationsPerMinute", "firesPerMinute", "concurrentInvocations", "truncationSize")
_SIZES: Final = frozenset(LIMIT_ORDER[-3:])


class LimitsOf(msgspec.Struct, forbid_unknown_fields=True):
    namespace: str


class LimitsSet(msgspec.Struct, forbid_unknown_fields=True):
    """`limits`: names as on the wire; only these change."""

    namespace: str
    limits: dict[str, Any]


async def set_limits(store: SubjectStore, wanted: LimitsSet) -> Answer:
    if not is_namespace(wanted.namespace):
        return no_namespace(wanted.namespace)
    stored = await store.limits(wanted.namespace) or NamespaceLimits()
    given = {name: value for name, value in wanted.limits.items() if value is not None}
    for name in _SIZES & given.keys():
        if not isinstance(given[name], str) or parse_size(given[name]) is None:
            return Answer(f"Failed to set limits ({name} is no size such as '1 MB')", 1)
    try:
        limits = msgspec.convert({**msgspec.to_builtins(stored), **given}, NamespaceLimits)
    except msgspec.ValidationError as error:
        return Answer(f"Failed to set limits ({error})", 1)
    problem = _out_of_order(msgspec.to_builtins(limits))
    if problem is not None:
        return Answer(f"Failed to set limits ({problem})", 1)
    await store.put_limits(wanted.namespace, limits)
    hint = " ".join(NOT_ENFORCED.format(name) for name in _LATER if name in given)
    return Answer(f'Limits successfully set for "{wanted.namespace}"', hint=hint)


def _out_of_order(limits: dict[str, Any]) -> str | None:
    """What no limit can be, or None."""
    for name, value in limits.items():
        if isinstance(value, int) and value < 0:
            return f"{name} is {value}, but must be 0 or more"
    for what in ("Memory", "Logs", "Timeout", "Concurrency"):
        low, high = limits.get(f"minAction{what}"), limits.get(f"maxAction{what}")
        if low is not None and high is not None and low > high:
            return f"minAction{what} is {low}, above maxAction{what}, which is {high}"
    return None


async def get_limits(store: SubjectStore, wanted: LimitsOf) -> Answer:
    limits = await store.limits(wanted.namespace)
    fields: dict[str, Any] = {} if limits is None else msgspec.to_builtins(limits)
    found = {name: fields[name] for name in LIMIT_ORDER if fields.get(name) is not None}
    lines = [f"{name} = {_shown(value)}" for name, value in found.items()]
    return Answer("\n".join(lines) if lines else "No limits found, default system limits apply", data=found)


def _shown(value: Any) -> str:
    """As Python shows it: `True`, `['nodejs:20']`; texts bare."""
    return str(list(value)) if isinstance(value, tuple) else str(value)


async def delete_limits(store: SubjectStore, wanted: LimitsOf) -> Answer:
    try:
        await store.delete_limits(wanted.namespace)
    except DocumentMissing:
        return Answer(f"Failed to delete limits ({NOT_FOUND})", 1)
    return Answer("Limits deleted")
