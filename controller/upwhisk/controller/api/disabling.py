"""`POST /disable`: from now on this controller takes no calls (rest-api 21). What it has accepted goes on; a restart enables it."""

from __future__ import annotations

import hmac
from base64 import b64encode
from collections.abc import Callable
from typing import Final

import structlog

from upwhisk.controller.api.ports import ComponentHealth
from upwhisk.controller.api.reply import Reply, text_reply
from upwhisk.controller.api.request import Request

log = structlog.get_logger(__name__)

USER: Final = "operator"
_DISABLED: Final = "controller is disabled"
_WRONG: Final = "username or password are wrong."
_CANNOT: Final = "Disabling this controller needs a token for it: set server.disable_token_file."


class DisableApi:
    """`token` is the password. `on_disable` is called each time; set by who composes the listener."""

    def __init__(self, token: str) -> None:
        self._token = token
        self._disabled = False
        self.on_disable: Callable[[], None] = lambda: None

    async def disable(self, request: Request) -> Reply:
        if not self._token:
            return text_reply(_CANNOT, 403)
        if not _is_login(request.header("Authorization"), f"{USER}:{self._token}"):
            return text_reply(_WRONG, 401)
        log.warning("disabled by an operator: restart it to enable it", action="api.disabled")
        self._disabled = True
        self.on_disable()
        return text_reply(_DISABLED)

    def components(self) -> dict[str, ComponentHealth]:
        """What `/health` says of it."""
        return {"api": ComponentHealth(False, _DISABLED)} if self._disabled else {}


def _is_login(authorization: str | None, login: str) -> bool:
    scheme, _, encoded = (authorization or "").partition(" ")
    given = encoded.strip().encode(errors="surrogateescape")
    return scheme.lower() == "basic" and hmac.compare_digest(given, b64encode(login.encode()))
