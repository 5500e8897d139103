"""The settings file of a fleet under test, and the files with its secrets."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import unquote, urlsplit


@dataclass
class Addresses:
    """`couchdb` has user and password in it, as the services' harness gives it."""

    kafka: str
    consul: str
    consul_token: str
    couchdb: str
    docker: str | None = None


@dataclass
class Tuning:
    """`tables`: further settings, by table and key. `lasting`: the broker runs as one in earnest does (`services/kafka.py`)."""

    memory_mb: int = 2048
    lasting: bool = False
    tables: dict[str, dict[str, object]] = field(default_factory=dict)


def write(folder: Path, addresses: Addresses, tuning: Tuning) -> Path:
    """`folder`/fleet.toml, all files readable by their owner alone."""
    couch = urlsplit(addresses.couchdb)
    secret = _secret(folder, "couchdb-password", unquote(couch.password or ""))
    token = _secret(folder, "consul-token", addresses.consul_token)
    host = f"{couch.scheme}://{couch.hostname}:{couch.port}"
    tables: dict[str, dict[str, object]] = {
        "couchdb": {"url": host, "user": unquote(couch.username or ""), "password_file": str(secret)},
        "kafka": {"bootstrap": [addresses.kafka]},
        "consul": {"url": addresses.consul, "token_file": str(token)},
        "node": {"memory_mb": tuning.memory_mb},
        "log": {"level": "info", "format": "json"},
    }
    tables["couchdb"]["key_file"] = str(folder / "fleet.key")
    if addresses.docker is not None:
        tables["docker"] = {"host": addresses.docker}
        tables["plugins"] = {"containers": "docker"}
    for table, values in tuning.tables.items():
        tables.setdefault(table, {}).update(values)
    path = folder / "fleet.toml"
    path.write_text("\n".join(_table(name, values) for name, values in tables.items()))
    path.chmod(0o600)
    return path


def _secret(folder: Path, name: str, text: str) -> Path:
    path = folder / name
    path.touch(mode=0o600)
    path.write_text(text)
    return path


def _table(name: str, values: dict[str, object]) -> str:
    return f"[{name}]\n" + "".join(f"{key} = {_value(value)}\n" for key, value in values.items())


def _value(value: object) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, list):
        return "[" + ", ".join(_value(each) for each in value) + "]"
    return f'"{value}"' if isinstance(value, str) else str(value)
