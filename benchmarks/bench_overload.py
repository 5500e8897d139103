"""Overload: calls arrive at five times the peak that a closed loop has measured. What is answered well meanwhile is the
goodput; the rest has to be refused, quickly. Functions that burn 10 ms of CPU, and others that sleep 50 ms."""

from __future__ import annotations

import sys
import time
from typing import Any

from closed import closed_loop
from openloop import BURN, SLEEP, open_loop
from report import Bar, finish, table
from subject import NAMESPACE, Subject

_SETTINGS = {"UPWHISK_NODE_MEMORY_MB": "2048"}
_CALLERS = 16
_PEAK_S, _OVERLOAD_S = 5, 10
_TIMES = 5
_REFUSAL_MS = 50.0


def main() -> int:
    results: dict[str, dict[str, Any]] = {}
    for name, code in (("burn 10 ms", BURN), ("sleep 50 ms", SLEEP)):
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
    headers = platform.headers
    closed_loop(url, headers, callers=_CALLERS, seconds=2)
    peak = closed_loop(url, headers, callers=_CALLERS, seconds=_PEAK_S)
    time.sleep(0.5)
    offered = peak.per_s * _TIMES
    result = open_loop([url], headers, offered, _OVERLOAD_S)
    return {
        "peak_per_s": round(peak.per_s, 1),
        "offered_per_s": round(offered, 1),
        "share": round(result["goodput_per_s"] / peak.per_s, 3),
        "peak": peak.figures(),
        **result,
    }


if __name__ == "__main__":
    sys.exit(main())
