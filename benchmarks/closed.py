"""Closed-loop load by wrk: each caller sends its next call when it has the answer to the last."""

from __future__ import annotations

import json
import shutil
import subprocess
import tempfile
from dataclasses import dataclass, field
from pathlib import Path

from subject import BenchmarkError

_SCRIPT = Path(__file__).with_name("closed.lua")


@dataclass(slots=True)
class Load:
    """What runs against one server have measured, added up. Latencies: microseconds -> how often."""

    requests: int = 0
    seconds: float = 0.0
    latency: dict[int, int] = field(default_factory=dict)

    def add(self, other: Load) -> None:
        self.requests += other.requests
        self.seconds += other.seconds
        for value, count in other.latency.items():
            self.latency[value] = self.latency.get(value, 0) + count

    @property
    def per_s(self) -> float:
        return self.requests / self.seconds

    def percentile_ms(self, share: float) -> float:
        left = sum(self.latency.values()) * share / 100
        for value in sorted(self.latency):
            left -= self.latency[value]
            if left <= 0:
                return value / 1000
        raise BenchmarkError("no call was answered")

    def figures(self) -> dict[str, float]:
        shares = {f"p{share:g}_ms": self.percentile_ms(share) for share in (50, 90, 99, 99.9)}
        return {"requests": self.requests, "per_s": round(self.per_s, 1), **shares}


def closed_loop(url: str, headers: dict[str, str], *, callers: int, seconds: int, body: str = "{}") -> Load:
    """Every answer must be 2xx. The load generator is one thread."""
    program = shutil.which("wrk")
    if program is None:
        raise BenchmarkError("wrk is missing (as root: apt-get install wrk)")
    with tempfile.NamedTemporaryFile("w", suffix=".headers") as file:
        file.write("".join(f"{name}: {value}\n" for name, value in headers.items()))
        file.flush()
        command = [program, "-t1", f"-c{callers}", f"-d{seconds}s", "--timeout", "30s", "-s", str(_SCRIPT), url]
        done = subprocess.run(
            [*command, "--", file.name, body], capture_output=True, text=True, timeout=seconds + 60, check=False
        )
    line = next((one for one in done.stdout.splitlines() if one.startswith("RESULT ")), None)
    if line is None:
        raise BenchmarkError(f"wrk failed: {done.stdout[-500:]} {done.stderr[-500:]}")
    result = json.loads(line.removeprefix("RESULT "))
    if result["status"] or result["broken"]:
        raise BenchmarkError(f"{result['status']} answers were no success, {result['broken']} calls were broken")
    return Load(result["requests"], result["duration_us"] / 1e6, dict(result["latency"]))
