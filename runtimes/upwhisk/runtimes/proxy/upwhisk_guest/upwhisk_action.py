"""What an action can ask about the activation it is serving: `import upwhisk_action`.

An action that runs several activations at once cannot read this from the environment, which they share. All
functions answer for the activation whose code calls them, also after an `await` and in tasks it started.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from contextvars import ContextVar
from typing import Any

_fields: ContextVar[Mapping[str, Any] | None] = ContextVar("upwhisk_action", default=None)
_latest: Mapping[str, Any] = {}


def activation_id() -> str:
    """The activation's id, 32 hexadecimal digits."""
    return _text("activation_id")


def transaction_id() -> str:
    """The id of the request that caused it, the same for all parts of a sequence."""
    return _text("transaction_id")


def deadline_ms() -> int:
    """When it will be stopped, in ms since the epoch; 0 if unknown."""
    text = _text("deadline")
    return int(text) if text.isdigit() else 0


def remaining_ms() -> int:
    """How many ms are left until then, never negative."""
    return max(0, deadline_ms() - int(time.time() * 1000))


def namespace() -> str:
    """The namespace that invoked the action."""
    return _text("namespace")


def action_name() -> str:
    """The action's full name, `/namespace/[package/]name`."""
    return _text("action_name")


def action_version() -> str:
    return _text("action_version")


def api_key() -> str:
    """`uuid:key` of the invoking namespace; empty unless the action is given it."""
    return _text("api_key")


def _text(name: str) -> str:
    fields = _fields.get()
    value = (_latest if fields is None else fields).get(name)
    return value if isinstance(value, str) else ""


def enter(fields: Mapping[str, Any], *, alone: bool) -> None:
    """For the proxy: `fields` is the body of /run. `alone`: no other activation runs in this process."""
    global _latest
    if alone:
        _latest = fields
    else:
        _fields.set(fields)
