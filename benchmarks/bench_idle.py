"""What an idle standalone costs that holds 100 actions and 10 rules: PSS of the whole process tree, and CPU over 60 s."""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path

from report import Bar, finish, table
from subject import BenchmarkError, Subject

_ACTIONS, _RULES = 100, 10
_SETTLE_S = 15.0
_WATCH_S = 60.0
_TICKS = os.sysconf("SC_CLK_TCK")


def main() -> int:
    with Subject() as platform:
        for number in range(_ACTIONS):
            platform.deploy(f"action-{number}", f"def main(args):\n    return {{'number': {number}}}\n")
        for number in range(_RULES):
            platform.put(f"triggers/trigger-{number}", {})
            platform.put(f"rules/rule-{number}", {"trigger": f"/_/trigger-{number}", "action": f"/_/action-{number}"})
        platform.await_prewarmed()
        time.sleep(_SETTLE_S)
        before = {pid: _cpu_s(pid) for pid in platform.processes()}
        began = time.monotonic()
        time.sleep(_WATCH_S)
        took_s = time.monotonic() - began
        pids = platform.processes()
        cpu_s = sum(max(0.0, _cpu_s(pid) - before.get(pid, 0.0)) for pid in pids)
        processes = [(_name(pid), pss_kb(pid)) for pid in pids]
    share = cpu_s / took_s * 100
    total = sum(kb for _, kb in processes) / 1024
    print(table(["process", "PSS MB"], [*((name, kb / 1024) for name, kb in processes), ("in all", total)]))
    bars = [Bar("PSS of the process tree", round(total, 1), 100, "MB"), Bar("CPU", round(share, 3), 1.0, "% of one core")]
    listing = [{"process": name, "pss_kb": kb} for name, kb in processes]
    return finish("idle", {"processes": listing, "pss_mb": total, "cpu_percent": share, "watched_s": took_s}, bars)


def _name(pid: int) -> str:
    words = Path(f"/proc/{pid}/cmdline").read_bytes().decode(errors="replace").split("\0")
    if "standalone" in words:
        return "standalone"
    names = [one for one in Path(f"/proc/{pid}/cgroup").read_text().split() if "upwhisk-" in one]
    return Path(words[0]).name + (" zygote" if any(one.endswith("/zygotes") for one in names) else " guest")


def pss_kb(pid: int) -> int:
    """Its proportional set size: what it shares with others counts in parts."""
    for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
        if line.startswith("Pss:"):
            return int(line.split()[1])
    raise BenchmarkError(f"process {pid} has no PSS")


def _cpu_s(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / _TICKS


if __name__ == "__main__":
    sys.exit(main())
