"""One TOML file and `UPWHISK_*` variables, checked at start; unknown keys are refused.

A variable is named after its setting: `server.port` is `UPWHISK_SERVER_PORT`. Variables win over the file.
Lists are comma-separated in variables.
"""

from __future__ import annotations

import os
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal, get_args, get_origin, get_type_hints

import msgspec

from upwhisk.common.errors import ConfigurationError
from upwhisk.common.model.limits import Range, SystemLimits
from upwhisk.common.plugins import path_of
from upwhisk.common.settings import PluginSettings, Settings

PREFIX = "UPWHISK_"
_SHOWN = 80
"""Characters of a variable's value in an error."""
RESERVED = frozenset({"UPWHISK_AUTH", "UPWHISK_DATA", "UPWHISK_CONFIG", "UPWHISK_TEST_CACHE"})
"""Variables that are no settings; those beginning with `UPWHISK_TEST_` belong to the tests."""


def load_settings(
    file: Path | None = None, environment: Mapping[str, str] | None = None, flags: Mapping[str, Any] | None = None
) -> Settings:
    """Read `file` (if any), the environment, and `flags` (`node.name` -> value; None: not given), which win in this order.
    Raises `ConfigurationError` that names the setting."""
    raw = _read_file(file) if file is not None else {}
    sources = _apply_variables(raw, os.environ if environment is None else environment)
    for name, value in (flags or {}).items():
        section, _, key = name.partition(".")
        if value is not None and isinstance(table := raw.setdefault(section, {}), dict):
            table[key] = value
            sources.pop(name, None)
    _complete_ranges(raw.get("limits"))
    try:
        settings = msgspec.convert(raw, Settings, strict=False)
    except msgspec.ValidationError as error:
        raise ConfigurationError(*_explain(error, sources)) from None
    _check_ranges(settings.limits)
    _check_memory(settings)
    _check_plugins(settings.plugins)
    return settings


def _read_file(file: Path) -> dict[str, Any]:
    try:
        with file.open("rb") as stream:
            return tomllib.load(stream)
    except OSError as error:
        raise ConfigurationError("--config", f"cannot read '{file}': {error.strerror}") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigurationError("--config", f"'{file}' is not TOML: {error}") from None


def _complete_ranges(limits: Any) -> None:
    """Who changes one end of a range keeps the rest of it."""
    for name, default in msgspec.to_builtins(SystemLimits()).items():
        if isinstance(default, dict) and isinstance(limits, dict) and isinstance(limits.get(name), dict):
            limits[name] = {**default, **limits[name]}


def _check_ranges(limits: SystemLimits) -> None:
    for name in limits.__struct_fields__:
        one = getattr(limits, name)
        if isinstance(one, Range) and not 0 <= one.min <= one.default <= one.max:
            text = f"expected 0 <= min <= default <= max, got {one.min}, {one.default}, {one.max}"
            raise ConfigurationError(f"limits.{name}", text)


def _check_memory(settings: Settings) -> None:
    smallest = settings.limits.memory.min
    if 0 < settings.node.memory_mb < smallest:
        text = f"expected 0 (half of the machine's) or at least {smallest}, which the smallest action needs (limits.memory.min)"
        raise ConfigurationError("node.memory_mb", f"{text}, got {settings.node.memory_mb}")


def _check_plugins(plugins: PluginSettings) -> None:
    for point in plugins.__struct_fields__:
        name = getattr(plugins, point)
        if (point, name) != ("containers", "auto"):
            path_of(point, name)


def _apply_variables(raw: dict[str, Any], environment: Mapping[str, str]) -> dict[str, str]:
    """Setting -> the variable that it is from, as an error shows it."""
    sources = {}
    for name, value in environment.items():
        if name.startswith(PREFIX) and name not in RESERVED and not name.startswith("UPWHISK_TEST_"):
            sources[_apply_variable(raw, name, value)] = f" ({name} is '{value[:_SHOWN]}')"
    return sources


def _apply_variable(raw: dict[str, Any], name: str, value: str) -> str:
    """The setting that it stands for."""
    section, _, key = name.removeprefix(PREFIX).lower().partition("_")
    hints = get_type_hints(Settings)
    if section not in hints or not key:
        raise ConfigurationError(name, f"no such setting; tables are {', '.join(sorted(hints))}")
    fields = get_type_hints(hints[section])
    if key not in fields:
        raise ConfigurationError(name, f"no such setting; {section} has {', '.join(sorted(fields))}")
    is_list = str(fields[key]).startswith("tuple")
    table = raw.setdefault(section, {})
    if isinstance(table, dict):
        table[key] = [v.strip() for v in value.split(",") if v.strip()] if is_list else value
    return f"{section}.{key}"


def _explain(error: msgspec.ValidationError, sources: Mapping[str, str]) -> tuple[str, str]:
    text, _, path = str(error).partition(" - at `$")
    name = path.rstrip("`").lstrip(".")
    source = sources.get(name.partition("[")[0], "")
    return name or "(top level)", text + _choices(name, text) + source


def _choices(name: str, text: str) -> str:
    """What may stand there, where that is a short list."""
    kind: Any = Settings
    for part in filter(None, name.split(".")):
        kind = get_type_hints(kind).get(part) if isinstance(kind, type) else None
    if "unknown field" in text and isinstance(kind, type):
        return f"; there are {', '.join(sorted(get_type_hints(kind)))}"
    return f"; choose one of {', '.join(get_args(kind))}" if get_origin(kind) is Literal else ""
