"""Tokens of Consul for the processes of a fleet, each with a policy of what it needs. Only a token that may write access
rules can do it."""

from __future__ import annotations

import asyncio
from typing import Any

import aiohttp
import msgspec

from upwhisk.backends.nodes.consul.link import tls_of, token_of
from upwhisk.common.errors import ConfigurationError, Unavailable
from upwhisk.common.settings import ConsulSettings
from upwhisk.common.spi.roles import Role

_ASK_S = 10.0
_DISABLED = "ACL support disabled"


def policy_of(prefix: str, role: Role) -> dict[str, Any]:
    """Pure: rules in Consul's form. A node tells of itself and reads flags; a controller claims names, reads the nodes, and
    removes one that an operator gave up."""
    read, write = {"policy": "read"}, {"policy": "write"}
    rules: dict[str, Any] = {
        "node_prefix": {"": read},
        "key_prefix": {f"{prefix}/": read, f"{prefix}/nodes/": write},
        "service_prefix": {f"{prefix}-": read, f"{prefix}-invoker": write},
    }
    if role == "controller":
        rules["key_prefix"] |= {f"{prefix}/flags/": write, f"{prefix}/claims/": write}
        rules["service_prefix"][f"{prefix}-claims"] = write
        rules["session_prefix"] = {"": write}
    return rules


async def grant(settings: ConsulSettings, account: ConsulSettings, role: Role) -> str:
    """Have the token of `account`, with the role's policy; what was done. Repeatable. `settings` hold the managing token."""
    if not account.token_file:
        raise ConfigurationError("consul.token_file", f"is not set in the settings of a {role}")
    manager, secret = await asyncio.gather(
        asyncio.to_thread(token_of, settings), asyncio.to_thread(token_of, account)
    )
    if secret == manager:
        return f"registry: the {role} has the managing token"
    context = await asyncio.to_thread(tls_of, settings)
    connector = aiohttp.TCPConnector(ssl=context if context is not None else True)
    timeout = aiohttp.ClientTimeout(total=_ASK_S)
    async with aiohttp.ClientSession(settings.url, connector=connector, timeout=timeout) as session:
        acl = _Acl(session, manager)
        name = f"{account.prefix}-{role}"
        if not await acl.put_policy(name, policy_of(account.prefix, role)):
            return "registry: its access rules are switched off, everybody may everything"
        await acl.put_token(secret, name)
    return f"registry: the {role}'s token has the policy '{name}'"


class _Acl:
    def __init__(self, session: aiohttp.ClientSession, manager: str) -> None:
        self._session = session
        self._manager = manager

    async def put_policy(self, name: str, rules: dict[str, Any]) -> bool:
        """False: Consul keeps no rules."""
        fields = {"Name": name, "Description": "made by upwhisk init", "Rules": msgspec.json.encode(rules).decode()}
        status, body = await self._ask("GET", f"/v1/acl/policy/name/{name}")
        if _DISABLED in body.decode(errors="replace"):
            return False
        id_ = msgspec.json.decode(body)["ID"] if status == 200 else ""
        await self._done("PUT", f"/v1/acl/policy/{id_}".rstrip("/"), fields, f"the policy '{name}'")
        return True

    async def put_token(self, secret: str, policy: str) -> None:
        fields = {"SecretID": secret, "Description": policy, "Policies": [{"Name": policy}]}
        status, body = await self._ask("GET", "/v1/acl/token/self", token=secret)
        path = "/v1/acl/token"
        if status == 200:
            fields["AccessorID"] = msgspec.json.decode(body)["AccessorID"]
            path = f"{path}/{fields['AccessorID']}"
        await self._done("PUT", path, fields, f"the token of '{policy}'")

    async def _done(self, method: str, path: str, fields: dict[str, Any], what: str) -> None:
        status, body = await self._ask(method, path, fields)
        if status != 200:
            raise Unavailable(f"Consul does not take {what}: {status} {body.decode(errors='replace').strip()[:200]}")

    async def _ask(
        self, method: str, path: str, fields: dict[str, Any] | None = None, token: str = ""
    ) -> tuple[int, bytes]:
        headers = {"X-Consul-Token": token or self._manager}
        try:
            async with self._session.request(method, path, json=fields, headers=headers) as answer:
                return answer.status, await answer.read()
        except (aiohttp.ClientError, OSError) as error:  # a timeout is an OSError
            raise Unavailable(f"Consul does not answer: {error or type(error).__name__}.") from None
