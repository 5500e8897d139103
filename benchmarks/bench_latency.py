"""Added latency: a blocking call of a warm no-op Python action minus bare aiohttp's answer, one caller, closed loop."""

from __future__ import annotations

import sys

from closed import Load
from pair import platform_and_bare
from report import Bar, finish, table

_ROUNDS, _SECONDS = 6, 3
_CALLS = 10_000
_MOST_ROUNDS = 20


def main() -> int:
    with platform_and_bare() as pair:
        pair.alternate(1, 1, 1)
        warm, bare = pair.alternate(1, _ROUNDS, _SECONDS)
        rounds = _ROUNDS
        while warm.requests < _CALLS and rounds < _MOST_ROUNDS:
            more = pair.alternate(1, 1, _SECONDS)
            warm.add(more[0])
            bare.add(more[1])
            rounds += 1
    shares = (50, 90, 99, 99.9)
    rows = [[name, load.requests, round(load.per_s), *map(load.percentile_ms, shares)] for name, load in _named(warm, bare)]
    added = {share: round(warm.percentile_ms(share) - bare.percentile_ms(share), 3) for share in shares}
    rows.append(["added", "", "", *added.values()])
    print(table(["one caller, closed loop", "calls", "per s", "p50 ms", "p90 ms", "p99 ms", "p99.9 ms"], rows))
    bars = [Bar("added p50", added[50], 0.8, "ms"), Bar("added p99", added[99], 4.0, "ms")]
    figures = {"platform": warm.figures(), "bare": bare.figures(), "added_ms": {f"p{k:g}": v for k, v in added.items()}}
    return finish("latency", figures, bars)


def _named(warm: Load, bare: Load) -> list[tuple[str, Load]]:
    return [("upwhisk", warm), ("bare aiohttp", bare)]


if __name__ == "__main__":
    sys.exit(main())
