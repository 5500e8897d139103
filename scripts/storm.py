"""`make chaos`: faults of every kind under a steady load on a whole fleet, and then a look at every promise. For root.

Runs itself again in network and mount namespaces of its own, where it plays a host with a neighbour that counts the
side effects of guests. Prints a table; the exit status is 1 if anything was violated.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import re
import statistics
import sys
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from chaos.story import Tally

ROOT = Path(__file__).resolve().parents[1]
INSIDE = "CHAOS_INSIDE"
_IDS = re.compile(r"[0-9a-f]{32}")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=20, help="how often each kind of fault strikes")
    parser.add_argument("--seed", default=f"{random.SystemRandom().randrange(1 << 32):08x}")
    parser.add_argument("--only", help="kinds of faults, comma-separated, e.g. 'invoker killed,kafka paused'")
    parser.add_argument("--containers", choices=["process", "docker"], default="process")
    parser.add_argument("--json", action="store_true", help="print the figures as JSON at the end")
    parser.add_argument("--keep", action="store_true", help="print where the logs are and keep them if anything was violated")
    options = parser.parse_args()
    if os.geteuid() != 0:
        print("guests reach the harness by the network outbound, which needs root: run it as root", file=sys.stderr)
        return 2
    if INSIDE not in os.environ:
        environment = {**os.environ, INSIDE: "1"}
        os.execvpe("unshare", ["unshare", "--net", "--mount", sys.executable, *sys.argv], environment)
    sys.path.insert(0, str(ROOT / "tests"))
    del os.environ[INSIDE]
    return storm(options)


def storm(options: argparse.Namespace) -> int:
    from chaos.platform import ChaosFleet
    from chaos.story import Story
    from crash.actions import deploy_all
    from crash.outside import own_host

    effects = own_host()
    print(f"seed {options.seed}", file=sys.stderr, flush=True)
    with ChaosFleet(containers=options.containers) as fleet:
        deploy_all(fleet.client)
        fleet.client.deploy("probe", "def main(a):\n    return {}\n")
        tally = Story(fleet, effects, seed=options.seed).play(options.rounds, options.only.split(",") if options.only else None)
        if options.keep and tally.violations:
            fleet.keep_logs()
    report(tally, as_json=options.json)
    return 1 if tally.violations else 0


def report(tally: Tally, *, as_json: bool) -> None:
    if as_json:
        print(json.dumps(vars(tally)))
        return
    print(f"{sum(tally.faults.values())} faults, {tally.in_recovery} of them during the recovery from another")
    print(f"{'fault':<24} {'times':>5}  recovered after s: median, longest")
    for kind in sorted({*tally.faults, *tally.recovery_s}):
        times = tally.recovery_s.get(kind, [])
        shown = f"{statistics.median(times):8.1f} {max(times):8.1f}" if times else ""
        print(f"{kind:<24} {tally.faults.get(kind, len(times)):>5}  {shown}")
    print(f"{tally.ids} accepted ids, {tally.broken} calls without an answer, refused {dict(tally.refused)}")
    print("ended: " + ", ".join(f"{end}: {n}" for end, n in sorted(tally.ends.items())))
    print(f"violations: {len(tally.violations)}")
    for shape, times in Counter(_IDS.sub("ID", one) for one in tally.violations).most_common(20):
        print(f"  {times:>6} times: {shape}")
    for one in tally.violations[:40]:
        print(f"  {one}")


if __name__ == "__main__":
    sys.exit(main())
