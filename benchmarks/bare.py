"""The yardstick: aiohttp on uvloop, the same interpreter, the same bytes, and nothing behind it."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from pathlib import Path
from types import TracebackType

import uvloop
from aiohttp import web


async def serve(body: bytes) -> None:
    async def answer(request: web.Request) -> web.Response:
        await request.read()
        return web.Response(body=body, content_type="application/json")

    app = web.Application()
    app.router.add_post("/api/v1/namespaces/_/actions/noop", answer)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    print(runner.addresses[0][1], flush=True)
    gone = asyncio.Event()
    asyncio.get_running_loop().add_reader(0, gone.set)  # our standard input ends with whoever started us
    await gone.wait()


class Bare:
    """A process of `serve` that answers `body`."""

    def __init__(self, body: bytes, file: Path) -> None:
        file.write_bytes(body)
        command = [sys.executable, __file__, str(file)]
        self._process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, start_new_session=True)
        assert self._process.stdout is not None
        self.url = f"http://127.0.0.1:{int(self._process.stdout.readline())}"

    def __enter__(self) -> Bare:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._process.kill()
        self._process.wait()
        for stream in (self._process.stdin, self._process.stdout):
            if stream is not None:
                stream.close()


if __name__ == "__main__":
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as loop:
        loop.run(serve(Path(sys.argv[1]).read_bytes()))
