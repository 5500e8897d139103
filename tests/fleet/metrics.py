"""What a process of a fleet shows at `/metrics`."""

from __future__ import annotations

import urllib.request

_ANSWER_S = 5.0


def metrics_of(url: str) -> dict[str, float]:
    """Series -> value, a series written as Prometheus writes it. `OSError` where nobody answers."""
    with urllib.request.urlopen(f"{url}/metrics", timeout=_ANSWER_S) as answer:
        lines = answer.read().decode().splitlines()
    rows = (line.rpartition(" ") for line in lines if line and not line.startswith("#"))
    return {series: float(value) for series, _, value in rows}
