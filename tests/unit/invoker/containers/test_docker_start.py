"""An engine that has answered once and then dies, hangs or says no: a start ends with the setting and the reason."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from aiohttp import web
from sandbox.guests import short_folder

from upwhisk.common.errors import ConfigurationError
from upwhisk.common.ids import new_instance_id
from upwhisk.common.settings import DockerSettings
from upwhisk.invoker.containers.docker import engine as engine_module
from upwhisk.invoker.containers.docker.factory import DockerFactory

LISTS = {"containers/json", "images/json"}


class FailingEngine:
    """Answers until it is asked for `fatal` the `turn`th time, and does `how` from then on."""

    def __init__(self, fatal: str, turn: int, how: str) -> None:
        self._fatal, self._turn, self._how = fatal, turn, how
        self.asked: list[str] = []

    async def handle(self, request: web.BaseRequest) -> web.StreamResponse:
        what = next(path for path in ("info", "version", *LISTS) if request.path.endswith(f"/{path}"))
        self.asked.append(what)
        if self.asked.count(self._fatal) < self._turn:
            return _answer(200, [] if what in LISTS else {"ApiVersion": "1.43"})
        if self._how == "says no":
            return _answer(403, {"message": "authorization denied by plugin"})
        if self._how == "hangs":
            await asyncio.Event().wait()
        assert request.transport is not None
        request.transport.abort()
        return web.Response()


def _answer(status: int, value: object) -> web.Response:
    """Without a charset, as engines do."""
    return web.Response(status=status, body=json.dumps(value).encode(), headers={"Content-Type": "application/json"})


@asynccontextmanager
async def listening(engine: FailingEngine, path: Path) -> AsyncIterator[str]:
    runner = web.ServerRunner(web.Server(engine.handle), shutdown_timeout=0.1)
    await runner.setup()
    try:
        await web.UnixSite(runner, str(path)).start()
        yield f"unix://{path}"
    finally:
        await runner.cleanup()


@pytest.mark.parametrize(
    ("how", "reason"),
    [
        ("dies", "the container engine does not answer '{what}'"),
        ("hangs", "the container engine did not answer '{what}' within 0.2 s"),
        ("says no", "{what}: authorization denied by plugin"),
    ],
)
@pytest.mark.parametrize(
    ("fatal", "turn", "what"), [("containers/json", 1, "containers"), ("info", 2, "info"), ("images/json", 1, "images")]
)
async def test_trouble_after_the_first_answer(
    fatal: str, turn: int, what: str, how: str, reason: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    if how == "hangs":
        monkeypatch.setattr(engine_module, "QUICK_S", 0.2)
    engine = FailingEngine(fatal, turn, how)
    with short_folder() as folder:
        run_dir = folder / "run"
        async with listening(engine, folder / "engine") as host:
            factory = DockerFactory(new_instance_id(), run_dir, DockerSettings(host=host))
            with pytest.raises(ConfigurationError) as failure:
                await factory.start()
        assert failure.value.setting == "docker.host"
        assert reason.format(what=what) in str(failure.value)
        assert engine.asked[-1] == fatal
        assert list(run_dir.glob("*")) == []
