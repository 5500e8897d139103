"""Throughput of a warm no-op Python action by number of callers, every record stored, beside bare aiohttp."""

from __future__ import annotations

import json
import sys
import time
from typing import Any

from pair import Pair, platform_and_bare
from report import Bar, finish, spark, table
from subject import NAMESPACE, BenchmarkError

_CALLERS = (1, 2, 4, 8, 16, 32, 64)
_ROUNDS, _SECONDS = 3, 2
_SETTLE_S = 30


def main() -> int:
    lines: list[dict[str, Any]] = []
    with platform_and_bare() as pair:
        for callers in _CALLERS:
            pair.warm(callers, 1)  # starts the containers that so many callers take
            lines.append(_measure(pair, callers))
            print(f"  {callers} callers: {lines[-1]['platform']['per_s']:,.0f}/s", flush=True)
        readable = _read_some(pair)
    rows = [
        [str(one["callers"]), one["platform"]["per_s"], one["platform"]["p50_ms"], one["platform"]["p99_ms"],
         one["bare"]["per_s"], one["ratio"], f"{one['stored']:,}/{one['platform']['requests']:,}"]
        for one in lines
    ]
    print(table(["callers", "per s", "p50 ms", "p99 ms", "bare per s", "ratio", "stored/answered"], rows))
    print("per s by callers:", spark([one["platform"]["per_s"] for one in lines]))
    at_16 = next(one for one in lines if one["callers"] == 16)
    bars = [
        Bar("16 callers", at_16["platform"]["per_s"], 4000, "/s", at_most=False),
        Bar("16 callers, share of bare aiohttp (on a slower machine)", at_16["ratio"], 0.2, "", at_most=False),
    ]
    return finish("throughput", {"by_callers": lines, "records_read_back": readable}, bars)


def _measure(pair: Pair, callers: int) -> dict[str, Any]:
    before = _settled(pair)
    warm, bare = pair.alternate(callers, _ROUNDS, _SECONDS)
    stored = _settled(pair) - before
    # wrk gives up on the calls under way when its time is over; the platform still records them.
    if not warm.requests <= stored <= warm.requests + callers * _ROUNDS:
        raise BenchmarkError(f"{warm.requests} calls were answered, {stored} records are stored")
    return {
        "callers": callers,
        "platform": warm.figures(),
        "bare": bare.figures(),
        "ratio": round(warm.per_s / bare.per_s, 3),
        "stored": stored,
    }


def _settled(pair: Pair) -> int:
    """The number of records once it stands still."""
    until, last = time.monotonic() + _SETTLE_S, -1
    while (now := pair.platform.count_records()) != last:
        if time.monotonic() > until:
            raise BenchmarkError("records are still being written without any call")
        last = now
        time.sleep(0.2)
    return now


def _read_some(pair: Pair) -> int:
    """Read the last records one by one, each with its result."""
    _, text = pair.platform.request("GET", f"{NAMESPACE}/activations?limit=200")
    ids = [entry["activationId"] for entry in json.loads(text)]
    for one in ids:
        status, record = pair.platform.request("GET", f"{NAMESPACE}/activations/{one}")
        if status != 200 or json.loads(record)["response"]["result"] != {"ok": True}:
            raise BenchmarkError(f"record {one}: {status} {record[:200]!r}")
    return len(ids)


if __name__ == "__main__":
    sys.exit(main())
