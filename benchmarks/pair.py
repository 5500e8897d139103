"""The platform with a no-op action and the bare server side by side, for runs that alternate between them."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator

from bare import Bare
from closed import Load, closed_loop
from subject import NAMESPACE, BenchmarkError, Subject

NOOP = "def main(args):\n    return {'ok': True}\n"
_PATH = f"{NAMESPACE}/actions/noop"


class Pair:
    """`warm` and `bare` are one closed-loop run each; alternate them so that the machine's drift cancels."""

    def __init__(self, platform: Subject, yardstick: Bare) -> None:
        self.platform = platform
        self._headers = {"Authorization": platform.authorization, "Content-Type": "application/json"}
        self._warm_url = f"http://{platform.host}:{platform.port}{_PATH}?blocking=true"
        self._bare_url = f"{yardstick.url}{_PATH}?blocking=true"

    def warm(self, callers: int, seconds: int) -> Load:
        return closed_loop(self._warm_url, self._headers, callers=callers, seconds=seconds)

    def bare(self, callers: int, seconds: int) -> Load:
        return closed_loop(self._bare_url, self._headers, callers=callers, seconds=seconds)

    def alternate(self, callers: int, rounds: int, seconds: int) -> tuple[Load, Load]:
        """(platform, bare) of `rounds` runs each."""
        warm, bare = Load(), Load()
        for _ in range(rounds):
            warm.add(self.warm(callers, seconds))
            bare.add(self.bare(callers, seconds))
        return warm, bare


@contextlib.contextmanager
def platform_and_bare() -> Iterator[Pair]:
    """The bare server answers the very bytes of a record of the platform."""
    with Subject() as platform:
        platform.deploy("noop", NOOP)
        for _ in range(20):
            _, record = platform.invoke("noop")
        if record["response"]["result"] != {"ok": True}:
            raise BenchmarkError(f"a wrong answer: {record}")
        body = json.dumps(record, separators=(",", ":")).encode()
        with Bare(body, platform.data / "bare.body") as yardstick:
            yield Pair(platform, yardstick)
