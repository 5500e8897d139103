"""Which kind of containers a node uses when it was told to choose: `plugins.containers = "auto"`."""

from __future__ import annotations

import os
import socket
from dataclasses import dataclass
from importlib.util import find_spec

import msgspec
import structlog

from upwhisk.common.errors import ConfigurationError
from upwhisk.common.settings import DockerSettings, Settings
from upwhisk.invoker.containers import host_check
from upwhisk.invoker.containers.docker.endpoint import Endpoint, endpoint_of

log = structlog.get_logger(__name__)

AUTO, PROCESS, DOCKER = "auto", "process", "docker"
_PACKAGES = ("docker", "aiodocker")
_LOOK_S = 2.0


@dataclass(frozen=True, slots=True)
class Choice:
    """`note`: what a person should know of it, empty if it is what they asked for."""

    settings: Settings
    note: str = ""


def choose(settings: Settings) -> Choice:
    """Process sandboxes where this host can confine them, else an engine that answers. Blocking; some ms.

    Without either the choice is `process`, whose start then says what is missing.
    """
    if settings.plugins.containers != AUTO:
        return Choice(settings)
    missing = host_check.confinement_findings()
    if not missing:
        return Choice(_with(settings, PROCESS))
    engine = engine_finding(settings.docker)
    if engine:
        log.warning("no container engine instead of processes", action="containers.no_engine", reason=engine)
        return Choice(_with(settings, PROCESS))
    note = f"guests run in containers of the engine, not as processes: {'; '.join(missing)}"
    log.warning("containers of the engine", action="containers.engine", reason=note)
    return Choice(_with(settings, DOCKER), note)


def engine_finding(settings: DockerSettings) -> str:
    """Why no engine can be used here; empty if one listens."""
    try:
        endpoint = endpoint_of(settings, os.environ)
    except ConfigurationError as error:
        return str(error)
    lacking = [name for name in _PACKAGES if find_spec(name) is None]
    if lacking:
        return f"the packages {' and '.join(lacking)} are missing: pip install 'upwhisk[distributed]'"
    try:
        _reach(endpoint)
    except OSError as error:
        return f"no container engine answers at {endpoint.url}: {error.strerror or error}"
    return ""


def _reach(endpoint: Endpoint) -> None:
    if not endpoint.is_tls:
        with socket.socket(socket.AF_UNIX) as attempt:
            attempt.settimeout(_LOOK_S)
            attempt.connect(endpoint.url.removeprefix("unix://"))
        return
    host, _, port = endpoint.url.removeprefix("https://").rpartition(":")
    socket.create_connection((host.strip("[]"), int(port)), timeout=_LOOK_S).close()


def _with(settings: Settings, containers: str) -> Settings:
    plugins = msgspec.structs.replace(settings.plugins, containers=containers)
    return msgspec.structs.replace(settings, plugins=plugins)
