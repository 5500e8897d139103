"""Open-loop load by wrk and `openloop.lua`: calls leave by schedule, whether or not earlier ones were answered."""

from __future__ import annotations

import json
import shutil
import subprocess
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from subject import BenchmarkError

_SCRIPT = Path(__file__).with_name("openloop.lua")
LEAD_S = 2
QUEUE = 1024
"""How much work of one namespace a controller lets wait, unless it is told otherwise."""
_SPARE_CONNECTIONS = 128
"""There are a few more than work can be under way: each costs wrk time in every turn."""
_GRACE_S = 40
"""Longer than work may wait in the queue."""
REFUSALS = ("429", "503")
BURN = """import time
def main(args):
    end = time.thread_time() + 0.010
    while time.thread_time() < end:
        pass
    return {'ok': True}
"""
SLEEP = "import time\ndef main(args):\n    time.sleep(0.050)\n    return {'ok': True}\n"


class Arrivals:
    """`rate` calls a second in all, shared out among `urls` evenly, for `seconds`. Begins two seconds later, when all
    connections are there; `finish` waits for the last answer. Each URL has a generator of its own. `queue`: so much work
    waits behind each URL at most."""

    def __init__(self, urls: Sequence[str], headers: dict[str, str], rate: float, seconds: int, *, queue: int = QUEUE) -> None:
        program = shutil.which("wrk")
        if program is None:
            raise BenchmarkError("wrk is missing (as root: apt-get install wrk)")
        self.seconds = seconds
        self._connections = queue + _SPARE_CONNECTIONS
        self._whole_s = LEAD_S + seconds + _GRACE_S
        self._headers = tempfile.NamedTemporaryFile("w", suffix=".headers")  # noqa: SIM115 - wrk reads it later
        self._headers.write("".join(f"{name}: {value}\n" for name, value in headers.items()))
        self._headers.flush()
        self._processes: list[subprocess.Popen[str]] = []
        try:
            for url in urls:
                self._processes.append(self._start(program, url, rate / len(urls)))
        except OSError:
            self.end()
            raise

    def _start(self, program: str, url: str, rate: float) -> subprocess.Popen[str]:
        whole = f"{self._whole_s}s"
        command = [program, "-t1", f"-c{self._connections}", f"-d{whole}", "--timeout", whole, "-s", str(_SCRIPT), url]
        command += ["--", self._headers.name, "{}", str(rate), str(self.seconds)]
        return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)

    @property
    def under_way(self) -> bool:
        return any(process.poll() is None for process in self._processes)

    def finish(self) -> dict[str, Any]:
        """The figures of `openloop.lua` of all, and what was neither answered well nor refused."""
        end = time.monotonic() + self._whole_s + 30
        try:
            result = added([self._result_of(process, end) for process in self._processes])
        finally:
            self.end()
        other = sum(n for status, n in result["statuses"].items() if status != "200" and status not in REFUSALS)
        return {**result, "goodput_per_s": round(result["good_in_time"] / self.seconds, 1), "other": other + result["unanswered"]}

    def _result_of(self, process: subprocess.Popen[str], end: float) -> dict[str, Any]:
        try:
            output, errors = process.communicate(timeout=max(0.1, end - time.monotonic()))
        except subprocess.TimeoutExpired:
            raise BenchmarkError("wrk did not end in time") from None
        line = next((one for one in output.splitlines() if one.startswith("RESULT ")), None)
        if line is None:
            raise BenchmarkError(f"some calls were not answered within {_GRACE_S} s: {output[-500:]} {errors[-500:]}")
        result: dict[str, Any] = json.loads(line.removeprefix("RESULT "))
        return result

    def end(self) -> None:
        """Before its time, if need be."""
        for process in self._processes:
            if process.poll() is None:
                process.kill()
                process.communicate()
        self._headers.close()


def added(results: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Counts are added up. Of latencies the worst generator's stand, percentile by percentile: none is better than it was."""
    whole: dict[str, Any] = {key: sum(one[key] for one in results) for key in ("sent", "unanswered", "good_in_time")}
    statuses: dict[str, int] = {}
    for status, count in (item for one in results for item in one["statuses"].items()):
        statuses[status] = statuses.get(status, 0) + count
    whole["statuses"] = statuses
    for key in ("good_ms", "refused_ms", "late_ms"):
        parts = [one[key] for one in results]
        names = {name for part in parts for name in part if name != "n"}
        whole[key] = {"n": sum(part["n"] for part in parts)}
        whole[key] |= {name: max(part.get(name, 0.0) for part in parts) for name in sorted(names)}
    whole["cpu_us_per_call"] = max(one["cpu_us_per_call"] for one in results)
    return whole


def open_loop(urls: Sequence[str], headers: dict[str, str], rate: float, seconds: int, *, queue: int = QUEUE) -> dict[str, Any]:
    """One run to its end."""
    arrivals = Arrivals(urls, headers, rate, seconds, queue=queue)
    try:
        return arrivals.finish()
    finally:
        arrivals.end()
