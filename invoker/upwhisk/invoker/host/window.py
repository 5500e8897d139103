"""Aggregates over the last host samples. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

from upwhisk.common.spi.forecast import HostSample


class Load(NamedTuple):
    """`cores` busy and `memory_mb` taken by the owner of the host."""

    cores: float
    memory_mb: float


def last(samples: Sequence[HostSample], span_s: float) -> Iterator[HostSample]:
    """The samples of the last `span_s` seconds before the newest, newest first; always the newest itself."""
    for sample in reversed(samples):
        if samples[-1].at_s - sample.at_s > span_s:
            return
        yield sample


def peak(samples: Sequence[HostSample], span_s: float) -> Load | None:
    """The highest load in the span, CPU and memory each by itself; None without samples."""
    if not samples:
        return None
    recent = list(last(samples, span_s))
    return Load(max(s.owner_cpu for s in recent), max(s.owner_memory_mb for s in recent))
