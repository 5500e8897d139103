"""Start time: from exec of `upwhisk standalone` to the first answer of /ping, and to the first answered call."""

from __future__ import annotations

import http.client
import socket
import sys
import time
from collections.abc import Callable

from report import Bar, finish, percentiles, table
from subject import BenchmarkError, Subject

_RUNS = 10
_DEADLINE_S = 30.0
_CODE = "def main(args):\n    return {'ok': True}\n"


def main() -> int:
    ping: list[float] = []
    fresh: list[float] = []
    again: list[float] = []
    for _ in range(_RUNS):
        platform = Subject()
        try:
            times = _start(platform, deploy=True)
            ping.append(times[0])
            fresh.append(times[1])
        finally:
            platform.stop()
    with Subject() as platform:
        platform.deploy("hello", _CODE)
        for _ in range(_RUNS):
            platform.end()
            again.append(_start(platform, deploy=False)[1])
    found = {
        "new folder: first 200 of /ping": percentiles(ping),
        "new folder: deployed and answered": percentiles(fresh),
        "restart: first call answered": percentiles(again),
    }
    rows = [[name, int(one["n"]), one["p50"], one["p90"], one["max"]] for name, one in found.items()]
    print(table(["from exec to", "runs", "p50 ms", "p90 ms", "max ms"], rows))
    worst = max(one["p50"] for one in found.values())
    return finish("start", {"ms": found}, [Bar("ready to take work, p50", worst / 1000, 1.5, "s")])


def _start(platform: Subject, *, deploy: bool) -> tuple[float, float]:
    """Milliseconds to (ping, first answered call)."""
    port = _free_port()
    began = time.perf_counter()
    platform.launch(port)
    _until(lambda: _pings(port))
    ping = (time.perf_counter() - began) * 1000
    _until(lambda: (platform.data / ".wskprops").exists())
    platform.read_key()
    if deploy:
        platform.deploy("hello", _CODE)
    platform.invoke("hello")
    return ping, (time.perf_counter() - began) * 1000


def _until(holds: Callable[[], bool]) -> None:
    deadline = time.monotonic() + _DEADLINE_S
    while not holds():
        if time.monotonic() > deadline:
            raise BenchmarkError(f"the platform did not come up within {_DEADLINE_S:g} s")
        time.sleep(0.002)


def _pings(port: int) -> bool:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
    try:
        connection.request("GET", "/ping")
        return connection.getresponse().status == 200
    except OSError:
        return False
    finally:
        connection.close()


def _free_port() -> int:
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        port: int = sock.getsockname()[1]
        return port


if __name__ == "__main__":
    sys.exit(main())
