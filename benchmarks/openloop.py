"""Open-loop load by `openloop.mjs`: calls leave by schedule, whether or not earlier ones were answered."""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from subject import BenchmarkError

_SCRIPT = Path(__file__).with_name("openloop.mjs")
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
    """`rate` calls a second in all, to `urls` in turn, for `seconds`. Begins at once; `finish` waits for the last answer."""

    def __init__(self, urls: Sequence[str], headers: dict[str, str], rate: float, seconds: int) -> None:
        program = shutil.which("node")
        if program is None:
            raise BenchmarkError("node is missing")
        plan = {
            "urls": list(urls), "headers": headers, "body": "{}", "rate": rate, "seconds": seconds,
            "grace_s": _GRACE_S, "connections": 4096,
        }  # fmt: skip
        self.seconds = seconds
        self._process = subprocess.Popen(
            [program, str(_SCRIPT), json.dumps(plan)], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )

    @property
    def under_way(self) -> bool:
        return self._process.poll() is None

    def finish(self) -> dict[str, Any]:
        """The figures of `openloop.mjs`, and what was neither answered well nor refused."""
        try:
            output, errors = self._process.communicate(timeout=self.seconds + _GRACE_S + 30)
        except subprocess.TimeoutExpired:
            self.end()
            raise BenchmarkError("openloop.mjs did not end in time") from None
        if self._process.returncode != 0:
            raise BenchmarkError(f"openloop.mjs failed: {errors[-500:]}")
        result: dict[str, Any] = json.loads(output)
        other = sum(n for status, n in result["statuses"].items() if status != "200" and status not in REFUSALS)
        return {**result, "goodput_per_s": round(result["good_in_time"] / self.seconds, 1), "other": other + result["unanswered"]}

    def end(self) -> None:
        """Before its time, if need be."""
        if self.under_way:
            self._process.kill()
            self._process.communicate()


def open_loop(urls: Sequence[str], headers: dict[str, str], rate: float, seconds: int) -> dict[str, Any]:
    """One run to its end."""
    arrivals = Arrivals(urls, headers, rate, seconds)
    try:
        return arrivals.finish()
    finally:
        arrivals.end()
