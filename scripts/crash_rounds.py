"""`make test-crash`: kill -9 at random moments under load, and then a look at every promise. For root, on Linux.

Runs itself again in network and mount namespaces of its own, where it plays a host with a neighbour that counts the
side effects of guests. Prints a line for each round and a table; the exit status is 1 if anything was violated.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import shutil
import signal
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from crash.rounds import Crashes

ROOT = Path(__file__).resolve().parents[1]
INSIDE = "CRASH_ROUNDS_INSIDE"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=200)
    parser.add_argument("--ids", type=int, default=500, help="accepted ids a round, at least")
    parser.add_argument("--seed", default=f"{random.SystemRandom().randrange(1 << 32):08x}")
    parser.add_argument("--victims", default="platform,guest,recovery,zygote", help="who is killed, in turn")
    parser.add_argument("--keep", action="store_true", help="keep the data folder")
    parser.add_argument("--json", action="store_true", help="print the figures as JSON at the end")
    options = parser.parse_args()
    if os.geteuid() != 0:
        print("guests reach the harness by the network outbound, which needs root: run it as root", file=sys.stderr)
        return 2
    if INSIDE not in os.environ:
        environment = {**os.environ, INSIDE: "1"}
        os.execvpe("unshare", ["unshare", "--net", "--mount", sys.executable, *sys.argv], environment)
    sys.path.insert(0, str(ROOT / "tests"))
    del os.environ[INSIDE]
    return rounds(options)


def rounds(options: argparse.Namespace) -> int:
    from crash.outside import own_host
    from crash.rounds import Crashes

    enough: list[int] = []
    for name in (signal.SIGTERM, signal.SIGINT):
        signal.signal(name, lambda number, _: enough.append(number))  # after this round: clear away and report
    effects = own_host()
    folder = Path(tempfile.mkdtemp(prefix="crash-"))
    crashes = Crashes(folder / "data", effects, ids=options.ids, seed=options.seed)
    print(f"seed {options.seed}, data in {folder}", file=sys.stderr, flush=True)
    try:
        crashes.begin()
        for number in range(options.rounds):
            if enough:
                break
            victims = options.victims.split(",")
            one_round(crashes, number, options.rounds, victims[number % len(victims)])
        crashes.end()
    finally:
        crashes.clear()
    report(crashes.tally, effects.total, effects.again, as_json=options.json)
    if not options.keep and not crashes.tally.violations:
        shutil.rmtree(folder, ignore_errors=True)
    return 1 if crashes.tally.violations else 0


def one_round(crashes: Crashes, number: int, of: int, victim: str) -> None:
    began, before = time.monotonic(), crashes.tally.ids
    found = crashes.play(number, victim)
    took = time.monotonic() - began
    text = f"round {number + 1}/{of}: {victim:<9} {crashes.tally.ids - before} ids, {took:.1f} s"
    print(f"{text}, violations {len(found)}", file=sys.stderr, flush=True)
    for one in found[:20]:
        print(f"  {one}", file=sys.stderr, flush=True)


def report(tally: object, effects: int, again: int, *, as_json: bool) -> None:
    figures = {**vars(tally), "effects": effects, "effects sent again": again}
    if as_json:
        print(json.dumps(figures))
        return
    for name, value in figures.items():
        if name == "violations":
            print(f"{name:<12} {len(value)}")
            print("\n".join(f"  {one}" for one in value))
        elif isinstance(value, dict):
            print(f"{name:<12} " + ", ".join(f"{key}: {n}" for key, n in sorted(value.items())))
        else:
            print(f"{name:<12} {value}")


if __name__ == "__main__":
    sys.exit(main())
