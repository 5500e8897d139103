"""A process that claims a name, says so, and waits to be killed. Arguments: url, token file, prefix, name, owner, time to live."""

from __future__ import annotations

import asyncio
import sys

from upwhisk.backends.nodes.consul import ConsulRegistry
from upwhisk.common.settings import ConsulSettings


async def main(url: str, token_file: str, prefix: str, name: str, owner: str, ttl_s: str) -> None:
    async with ConsulRegistry(ConsulSettings(url=url, token_file=token_file, prefix=prefix)) as registry:
        claim = await registry.claim(name, owner, ttl_s=float(ttl_s))
        print("held" if claim is not None else "refused", flush=True)
        await asyncio.Event().wait()


url, token_file, prefix, name, owner, ttl = sys.argv[1:]
asyncio.run(main(url, token_file, prefix, name, owner, ttl))
