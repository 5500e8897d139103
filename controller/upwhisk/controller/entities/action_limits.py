"""The field `limits` of an action, within what its namespace may use. ◆ pure."""

from __future__ import annotations

from typing import Any, Final

import msgspec

from upwhisk.common.errors import BadRequest
from upwhisk.common.model.identity import NamespaceLimits
from upwhisk.common.model.limits import ActionLimits, Range, SystemLimits
from upwhisk.controller.entities.fields import UNSET, Field, value_of
from upwhisk.controller.json_body import malformed_content
from upwhisk.controller.namespace_limits import allowed_range, concurrent_invocations

_LABELS: Final = {
    "timeout": "time limit",
    "memory": "memory limit",
    "logs": "log limit",
    "concurrency": "concurrency limit",
    "instances": "instances limit",
}
_NUMBERS: Final = {
    "timeout": ("duration", " milliseconds"),
    "memory": ("memory size", " MB"),
    "logs": ("log size", " MB"),
    "concurrency": ("concurrency", ""),
}


def parse_limits(field: Field) -> dict[str, int]:
    """The limits a body names. `BadRequest` for anything but whole numbers."""
    value = value_of(field, "limits")
    if value is UNSET:
        return {}
    if not isinstance(value, dict):
        raise malformed_content("'limits' must be an object")
    return {
        name: _whole(value[name], label) for name, label in _LABELS.items() if value.get(name) is not None
    }


def _whole(value: Any, label: str) -> int:
    if isinstance(value, float) and value.is_integer() and abs(value) < 2**53:
        return int(value)
    if isinstance(value, bool) or not isinstance(value, int):
        raise malformed_content(f"{label} must be whole number")
    return value


def merge_limits(
    given: dict[str, int], stored: ActionLimits | None, namespace: NamespaceLimits, system: SystemLimits
) -> ActionLimits:
    """Given fields replace stored ones; the result has to be inside the allowed ranges."""
    limits = msgspec.structs.replace(stored or _defaults(namespace, system), **given)
    check_limits(limits, namespace, system)
    return limits


def _defaults(namespace: NamespaceLimits, system: SystemLimits) -> ActionLimits:
    """The system's defaults, moved into what the namespace may use."""
    ranges = {name: allowed_range(name, namespace, system) for name in _NUMBERS}
    return ActionLimits(**{name: min(max(r.default, r.min), r.max) for name, r in ranges.items()})


def check_limits(limits: ActionLimits, namespace: NamespaceLimits, system: SystemLimits) -> None:
    for name, (label, unit) in _NUMBERS.items():
        _check_range(getattr(limits, name), label, unit, allowed_range(name, namespace, system))
    if isinstance(limits.instances, int):
        _check_instances(limits.instances, concurrent_invocations(namespace, system))


def _check_range(value: int, label: str, unit: str, allowed: Range) -> None:
    if value > allowed.max:
        raise BadRequest(f"{label} {value}{unit} exceeds allowed threshold of {allowed.max}{unit}")
    if value < allowed.min:
        raise BadRequest(f"{label} {value}{unit} below allowed threshold of {allowed.min}{unit}")


def _check_instances(instances: int, concurrency: int) -> None:
    if instances < 0:
        raise BadRequest("Action container concurrency must be greater than or equal to 0.")
    if instances > concurrency:
        raise BadRequest(
            f"Max action instance concurrency must not exceed your namespace concurrency of {concurrency}."
        )
