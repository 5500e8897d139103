"""The properties that `wsk` keeps in `~/.wskprops`: where the API is, and the key.

Later wins: the file, `WHISK_*` variables, flags.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass

from upwhisk.cli.failure import Failure

DEFAULT_NAMESPACE = "_"
DEFAULT_VERSION = "v1"
_FROM_FILE = {
    "api_host": "APIHOST",
    "auth": "AUTH",
    "api_version": "APIVERSION",
    "namespace": "NAMESPACE",
    "cert": "CERT",
    "key": "KEY",
}
_FROM_ENVIRONMENT = {"api_host": "WHISK_APIHOST", "auth": "WHISK_AUTH", "api_version": "WHISK_APIVERSION"}


@dataclass(frozen=True, slots=True)
class Properties:
    """`auth` is `uuid:key`. `cert` and `key` are files of the client's own certificate. Empty: not set."""

    api_host: str = ""
    auth: str = ""
    api_version: str = DEFAULT_VERSION
    namespace: str = DEFAULT_NAMESPACE
    cert: str = ""
    key: str = ""


def props_path(environ: Mapping[str, str]) -> str:
    return environ.get("WSK_CONFIG_FILE") or os.path.join(environ.get("HOME") or os.path.expanduser("~"), ".wskprops")


def parse_props(text: str) -> dict[str, str]:
    """Lines `KEY=VALUE` with exactly one `=`; all others are passed over, as `wsk` does."""
    found: dict[str, str] = {}
    for line in text.splitlines():
        key, equals, value = line.partition("=")
        if equals and "=" not in value and not key.lstrip().startswith("#"):
            found[key.strip()] = value.strip()
    return found


def read_props(path: str) -> dict[str, str]:
    """Empty if there is no such file; `Failure` if it cannot be read."""
    try:
        with open(path, encoding="utf-8") as stream:
            return parse_props(stream.read())
    except FileNotFoundError:
        return {}
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "not UTF-8 text"
        raise Failure(f"Unable to read the properties file '{path}': {reason}") from None


def change_props(path: str, changes: Mapping[str, str | None]) -> None:
    """Set (or with None remove) keys in the file; other lines stay. It holds a key, so only its owner may read it."""
    try:
        kept = [line for line in _lines(path) if not (parse_props(line).keys() & changes.keys())]
        kept += [f"{key}={value}" for key, value in changes.items() if value is not None]
        part = f"{path}.{os.getpid()}.tmp"
        with os.fdopen(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w", encoding="utf-8") as stream:
            stream.write("".join(f"{line}\n" for line in kept))
        os.replace(part, os.path.realpath(path))
    except OSError as error:
        raise Failure(f"Unable to set the property value(s): {path}: {error.strerror}") from None


def _lines(path: str) -> list[str]:
    try:
        with open(path, encoding="utf-8", errors="surrogateescape") as stream:
            return stream.read().splitlines()
    except FileNotFoundError:
        return []


def resolve(flags: Mapping[str, str], environ: Mapping[str, str]) -> Properties:
    """`flags`: fields of `Properties` that were given on the command line."""
    file = read_props(props_path(environ))
    values = {field: file[key] for field, key in _FROM_FILE.items() if file.get(key)}
    values |= {field: environ[name] for field, name in _FROM_ENVIRONMENT.items() if environ.get(name)}
    values |= {field: value for field, value in flags.items() if value}
    return Properties(**values)
