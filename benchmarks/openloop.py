"""Open-loop load by `openloop.lua` in wrk: calls leave by schedule, whether or not earlier ones were answered."""

from __future__ import annotations

import json
import shutil
import subprocess
import tempfile
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from subject import BenchmarkError

_SCRIPT = str(Path(__file__).with_name("openloop.lua"))
_LEAD_S = 2
_CONNECTIONS = 1152
"""At each URL. A few more than work can be under way (the queue takes 1024 of one namespace): each costs wrk time in every turn."""
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
    """`rate` calls a second in all, the same share to each of `urls`, for `seconds`. Begins at once; `finish` waits for the
    last answer."""

    def __init__(self, urls: Sequence[str], headers: dict[str, str], rate: float, seconds: int) -> None:
        program = shutil.which("wrk")
        if program is None:
            raise BenchmarkError("wrk is missing (as root: apt-get install wrk)")
        self._folder = tempfile.TemporaryDirectory()
        file = Path(self._folder.name) / "headers"
        file.write_text("".join(f"{name}: {value}\n" for name, value in headers.items()))
        self.seconds = seconds
        self._whole_s = whole_s = _LEAD_S + seconds + _GRACE_S
        how = ["-t1", f"-c{_CONNECTIONS}", f"-d{whole_s}s", "--timeout", f"{whole_s}s", "-s", _SCRIPT]
        what = ["--", str(file), "{}", str(rate / len(urls)), str(seconds)]
        self._processes = [
            subprocess.Popen([program, *how, url, *what], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
            for url in urls
        ]

    @property
    def under_way(self) -> bool:
        return any(process.poll() is None for process in self._processes)

    def finish(self) -> dict[str, Any]:
        """The figures of `openloop.lua`, goodput, and what was neither answered well nor refused. Of latencies at several
        URLs the worst are told."""
        result = _together([self._result(process) for process in self._processes])
        other = sum(n for status, n in result["statuses"].items() if status != "200" and status not in REFUSALS)
        return {**result, "goodput_per_s": round(result["good_in_time"] / self.seconds, 1), "other": other + result["unanswered"]}

    def _result(self, process: subprocess.Popen[str]) -> dict[str, Any]:
        try:
            output, errors = process.communicate(timeout=self._whole_s + 30)
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
        self._folder.cleanup()


def _together(results: list[dict[str, Any]]) -> dict[str, Any]:
    statuses: Counter[str] = Counter()
    for one in results:
        statuses.update(one["statuses"])
    return {
        **{name: sum(one[name] for one in results) for name in ("sent", "unanswered", "good_in_time")},
        "statuses": dict(statuses),
        "cpu_us_per_call": max(one["cpu_us_per_call"] for one in results),
        **{name: _worst([one[name] for one in results]) for name in ("good_ms", "refused_ms", "late_ms")},
    }


def _worst(shares: list[dict[str, float]]) -> dict[str, float]:
    names = dict.fromkeys(name for one in shares for name in one if name != "n")
    return {"n": sum(one["n"] for one in shares), **{name: max(one.get(name, 0.0) for one in shares) for name in names}}


def open_loop(urls: Sequence[str], headers: dict[str, str], rate: float, seconds: int) -> dict[str, Any]:
    """One run to its end."""
    arrivals = Arrivals(urls, headers, rate, seconds)
    try:
        return arrivals.finish()
    finally:
        arrivals.end()
