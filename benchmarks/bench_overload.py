"""Overload: calls arrive at five times the peak that a closed loop has measured. What is answered well meanwhile is the
goodput; the rest has to be refused, quickly. Functions that burn 10 ms of CPU, and others that sleep 50 ms."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from closed import closed_loop
from report import Bar, finish, table
from subject import NAMESPACE, BenchmarkError, Subject

_BURN = """import time
def main(args):
    end = time.thread_time() + 0.010
    while time.thread_time() < end:
        pass
    return {'ok': True}
"""
_SLEEP = "import time\ndef main(args):\n    time.sleep(0.050)\n    return {'ok': True}\n"
_SETTINGS = {"UPWHISK_NODE_MEMORY_MB": "2048"}
_CALLERS = 16
_PEAK_S, _OVERLOAD_S = 5, 10
_TIMES = 5
_LEAD_S = 2
_CONNECTIONS = 1152
"""A few more than work can be under way (the queue takes 1024 of one namespace): each costs wrk time in every turn."""
_GRACE_S = 40
"""Longer than work may wait in the queue."""
_REFUSAL_MS = 50.0
_REFUSALS = ("429", "503")


def main() -> int:
    results: dict[str, dict[str, Any]] = {}
    for name, code in (("burn 10 ms", _BURN), ("sleep 50 ms", _SLEEP)):
        with Subject(_SETTINGS) as platform:
            results[name] = _measure(platform, code)
    rows = []
    bars = []
    for name, one in results.items():
        refused = one["refused_ms"]
        rows.append(
            [name, one["peak_per_s"], one["offered_per_s"], one["goodput_per_s"], one["share"], refused["n"],
             refused.get("p50", 0.0), refused.get("p99", 0.0), one["good_ms"]["p50"] / 1000, one["other"]]
        )
        bars += [
            Bar(f"{name}: goodput of peak", one["share"] * 100, 90, "%", at_most=False),
            Bar(f"{name}: p99 of refusals", refused.get("p99", 0.0), _REFUSAL_MS, "ms"),
            Bar(f"{name}: neither answered nor refused", float(one["other"]), 0, ""),
        ]
    print(table(
        ["function", "peak/s", "offered/s", "goodput/s", "share", "refused", "p50 ms", "p99 ms", "good p50 s", "other"], rows
    ))
    return finish("overload", {"functions": results, "memory_mb": 2048, "times": _TIMES}, bars)


def _measure(platform: Subject, code: str) -> dict[str, Any]:
    platform.deploy("work", code)
    url = f"http://{platform.host}:{platform.port}{NAMESPACE}/actions/work?blocking=true"
    headers = {"Authorization": platform.authorization, "Content-Type": "application/json"}
    closed_loop(url, headers, callers=_CALLERS, seconds=2)
    peak = closed_loop(url, headers, callers=_CALLERS, seconds=_PEAK_S)
    time.sleep(0.5)
    offered = peak.per_s * _TIMES
    result = _open_loop(url, headers, offered)
    other = {s: n for s, n in result["statuses"].items() if s != "200" and s not in _REFUSALS}
    goodput = result["good_in_time"] / _OVERLOAD_S
    return {
        "peak_per_s": round(peak.per_s, 1),
        "offered_per_s": round(offered, 1),
        "goodput_per_s": round(goodput, 1),
        "share": round(goodput / peak.per_s, 3),
        "other": sum(other.values()) + result["unanswered"],
        "peak": peak.figures(),
        **result,
    }


def _open_loop(url: str, headers: dict[str, str], rate: float) -> dict[str, Any]:
    program = shutil.which("wrk")
    if program is None:
        raise BenchmarkError("wrk is missing (as root: apt-get install wrk)")
    script = str(Path(__file__).with_name("openloop.lua"))
    with tempfile.NamedTemporaryFile("w", suffix=".headers") as file:
        file.write("".join(f"{name}: {value}\n" for name, value in headers.items()))
        file.flush()
        whole_s = _LEAD_S + _OVERLOAD_S + _GRACE_S
        command = [program, "-t1", f"-c{_CONNECTIONS}", f"-d{whole_s}s", "--timeout", f"{whole_s}s", "-s", script, url]
        command += ["--", file.name, "{}", str(rate), str(_OVERLOAD_S)]
        done = subprocess.run(command, capture_output=True, text=True, timeout=whole_s + 30, check=False)
    line = next((one for one in done.stdout.splitlines() if one.startswith("RESULT ")), None)
    if line is None:
        raise BenchmarkError(f"some calls were not answered within {_GRACE_S} s: {done.stdout[-500:]} {done.stderr[-500:]}")
    result: dict[str, Any] = json.loads(line.removeprefix("RESULT "))
    return result


if __name__ == "__main__":
    sys.exit(main())
