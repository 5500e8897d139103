"""`__OW_*` of the activation that is running."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

from .initialise import as_text


class RunVariables:
    """Sets the variables of each run; only what differs from the run before, for this is done on every run."""

    def __init__(self) -> None:
        self._names: dict[str, str] = {}
        self._last: dict[str, Any] = {}

    def enter(self, fields: Mapping[str, Any]) -> None:
        """`fields` is the body of /run: every field but `value` becomes a variable."""
        last = self._last
        for field, value in fields.items():
            if field != "value" and (field not in last or last[field] != value):
                last[field] = value
                self._set(field, value)

    def _set(self, field: str, value: Any) -> None:
        name = self._names.get(field)
        if name is None:
            name = self._names[field] = f"__OW_{field.upper()}"
        try:
            os.environ[name] = value if type(value) is str else as_text(value)
        except (ValueError, OSError):  # `=` in a name, a NUL, a lone surrogate
            return
