"""Run by test_docker_tls.py in the engine's network namespace: one guest through an engine behind TLS; prints what came."""

from __future__ import annotations

import asyncio
import json
import sys
from pathlib import Path

from sandbox.docker_guests import build_probe, make_docker_factory, settings_of
from sandbox.guests import run, spec

from upwhisk.common.errors import StartupError


async def attempt(folder: Path, run_dir: Path, address: str, client: str) -> dict[str, object]:
    files = {
        "ca_file": folder / "ca.pem",
        "cert_file": folder / f"{client}.pem",
        "key_file": folder / f"{client}.key",
    }
    settings = settings_of(address, **{name: str(path) for name, path in files.items()})
    try:
        await asyncio.to_thread(build_probe, address, settings)
        async with make_docker_factory(run_dir, settings) as factory:
            guest = await factory.create(spec())
            return {"result": await run(guest, "result = 6 * 7")}
    except StartupError as error:
        return {"refused": str(error)}


if __name__ == "__main__":
    folder, run_dir, address, client = sys.argv[1:]
    print(json.dumps(asyncio.run(attempt(Path(folder), Path(run_dir), address, client))))
