"""The documents without a login: `/`, `/ping`, `/api/v1`."""

from __future__ import annotations

from upwhisk.common.errors import NotYetAvailable
from upwhisk.common.model.limits import MIB, SystemLimits
from upwhisk.controller.api.ports import Services
from upwhisk.controller.api.presence import Presence
from upwhisk.controller.api.reply import Reply, json_reply, text_reply
from upwhisk.controller.api.request import Request

SUPPORT = {"github": "https://github.com/apache/openwhisk/issues", "slack": "http://slack.openwhisk.org"}
"""Clients print these; they are OpenWhisk's own."""


class InformationApi:
    """`build` and `buildno` are what `wsk property get --apibuild` shows."""

    def __init__(self, services: Services, presence: Presence, *, build: str, buildno: str) -> None:
        self._services = services
        self._presence = presence
        self._build = build
        self._buildno = buildno

    async def ping(self, _request: Request) -> Reply:
        return text_reply("leaving", 503) if self._presence.leaving else text_reply("pong")

    async def platform(self, _request: Request) -> Reply:
        document = {
            "description": "OpenWhisk",
            "support": SUPPORT,
            "api_paths": ["/api/v1"],
            "limits": platform_limits(self._services.limits),
            "runtimes": self._services.kinds.runtimes(),
        }
        return json_reply(document)

    async def api(self, _request: Request) -> Reply:
        document = {
            "description": "OpenWhisk API",
            "api_version": "1.0.0",
            "api_version_path": "v1",
            "build": self._build,
            "buildno": self._buildno,
            "swagger_paths": {"ui": "/docs", "api-docs": "/api-docs"},
        }
        return json_reply(document)


class LaterApi:
    """Parts of the API that later releases bring."""

    async def web(self, _request: Request) -> Reply:
        raise NotYetAvailable("The part of the API below /api/v1/web (web actions and the API gateway)")


def platform_limits(limits: SystemLimits) -> dict[str, int]:
    """Durations in ms, memory and logs in bytes."""
    memory, logs, duration = limits.memory, limits.logs, limits.timeout
    bounds = {
        "min_action_duration": duration.min,
        "max_action_duration": duration.max,
        "min_action_memory": memory.min * MIB,
        "max_action_memory": memory.max * MIB,
        "min_action_logs": logs.min * MIB,
        "max_action_logs": logs.max * MIB,
    }
    return {
        "actions_per_minute": limits.invocations_per_minute,
        "triggers_per_minute": limits.fires_per_minute,
        "concurrent_actions": limits.concurrent_invocations,
        "sequence_length": limits.sequence_length,
        **{f"default_{name}": value for name, value in bounds.items()},
        **bounds,
    }
