"""What every benchmark ends with: a table for people, a JSON file with the machine it was measured on."""

from __future__ import annotations

import json
import math
import os
import platform
import subprocess
import sys
import sysconfig
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

RESULTS = Path(__file__).resolve().parent.parent / "bench-results"
_BLOCKS = "▁▂▃▄▅▆▇█"


@dataclass(frozen=True, slots=True)
class Bar:
    """One figure that the project promises; `at_most` false: the figure is to reach the limit."""

    what: str
    value: float
    limit: float
    unit: str
    at_most: bool = True

    @property
    def reached(self) -> bool:
        return self.value <= self.limit if self.at_most else self.value >= self.limit


def percentile(values: Sequence[float], share: float) -> float:
    """Nearest rank; `share` from 0 to 100."""
    ordered = sorted(values)
    return ordered[max(0, math.ceil(len(ordered) * share / 100) - 1)]


def percentiles(values: Sequence[float]) -> dict[str, float]:
    """Of milliseconds, with their number and ends."""
    shares = {f"p{share:g}": round(percentile(values, share), 3) for share in (50, 90, 99)}
    return {"n": len(values), "min": round(min(values), 3), **shares, "max": round(max(values), 3)}


def spark(values: Sequence[float]) -> str:
    """The values as one line of blocks from zero to the highest."""
    top = max(values, default=0.0) or 1.0
    return "".join(_BLOCKS[min(7, int(value / top * 7.999))] for value in values)


def histogram(values: Sequence[float], width: int = 40) -> str:
    """How often each span from the lowest to the 99th percentile occurs, as one line."""
    low, high = min(values), percentile(values, 99)
    if high <= low:
        return _BLOCKS[-1]
    counts = [0.0] * width
    for value in values:
        if value <= high:
            counts[min(width - 1, int((value - low) / (high - low) * width))] += 1
    return f"{low:.2f} {spark(counts)} {high:.2f}"


def table(heads: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    cells = [list(heads), *([_cell(one) for one in row] for row in rows)]
    widths = [max(len(row[i]) for row in cells) for i in range(len(heads))]
    lines = ["  ".join(c.ljust(w) if i == 0 else c.rjust(w) for i, (c, w) in enumerate(zip(r, widths, strict=True))) for r in cells]
    lines.insert(1, "  ".join("-" * width for width in widths))
    return "\n".join(lines)


def _cell(value: object) -> str:
    if isinstance(value, float):
        return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.2f}"
    return f"{value:,}" if isinstance(value, int) else str(value)


def finish(name: str, figures: dict[str, Any], bars: Sequence[Bar]) -> int:
    """Print the bars, write `bench-results/NAME.json`, return the exit status: 0, a missed bar is no failure."""
    print()
    for bar in bars:
        relation = "at most" if bar.at_most else "at least"
        word = "reached" if bar.reached else "MISSED"
        print(f"{bar.what}: {bar.value:,.2f} {bar.unit} (bar: {relation} {bar.limit:g} {bar.unit}) {word}")
    document = {
        "benchmark": name,
        "at": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        "machine": machine(),
        "bars": [
            {"what": b.what, "value": b.value, "limit": b.limit, "unit": b.unit, "reached": b.reached} for b in bars
        ],
        **figures,
    }
    RESULTS.mkdir(exist_ok=True)
    file = RESULTS / f"{name}.json"
    file.write_text(json.dumps(document, indent=1) + "\n")
    print(f"written to {file}")
    return 0


def machine() -> dict[str, Any]:
    """Where and with what this was measured."""
    return {
        "cpu": _field("/proc/cpuinfo", "model name"),
        "cores": len(os.sched_getaffinity(0)),
        "memory_kb": int(_field("/proc/meminfo", "MemTotal").split()[0]),
        "kernel": platform.release(),
        "load_before": os.getloadavg()[0],
        "python": sys.version,
        "python_flags": _build_flags(),
        "node": _first_line("node", "--version"),
        "versions": {name: _version(name) for name in ("upwhisk", "aiohttp", "uvloop", "msgspec")},
        "commit": _first_line("git", "-C", str(RESULTS.parent), "rev-parse", "--short", "HEAD"),
    }


def _build_flags() -> dict[str, bool]:
    arguments = str(sysconfig.get_config_var("CONFIG_ARGS") or "")
    flags = str(sysconfig.get_config_var("PY_CORE_CFLAGS") or "") + str(sysconfig.get_config_var("PY_CFLAGS") or "")
    return {
        "pgo": "--enable-optimizations" in arguments or "-fprofile-use" in flags,
        "lto": "--with-lto" in arguments or "-flto" in flags,
    }


def _field(file: str, name: str) -> str:
    for line in Path(file).read_text().splitlines():
        if line.startswith(name):
            return line.partition(":")[2].strip()
    return "0 unknown"


def _first_line(*command: str) -> str:
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=10, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return "missing"
    return (done.stdout.splitlines() or ["unknown"])[0]


def _version(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:
        return "not installed"
