"""Secrets come from files."""

from __future__ import annotations

from pathlib import Path

from upwhisk.common.errors import ConfigurationError


def read_secret(file: str, setting: str) -> str:
    """The text in `file` without the line's end; `ConfigurationError` names the setting. Blocking."""
    if not file:
        raise ConfigurationError(setting, "is not set")
    try:
        return Path(file).read_text().rstrip("\r\n")
    except (OSError, UnicodeDecodeError) as error:
        why = error.strerror if isinstance(error, OSError) else "it is no text"
        raise ConfigurationError(setting, f"cannot read '{file}': {why}") from None
