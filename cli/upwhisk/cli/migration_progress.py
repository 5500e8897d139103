"""How a migration goes, on standard error: one line that is written over on a terminal, a line now and then elsewhere."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Final, TextIO

from upwhisk.cli.migration_verdict import Tally, Verdict

_TERMINAL_EVERY_S: Final = 0.2
_LOG_EVERY_S: Final = 10.0
_ERASE: Final = "\r\x1b[K"


class Progress:
    """`records`: how many the source has; None if nobody counted."""

    def __init__(self, stream: TextIO, records: int | None, now: Callable[[], float] = time.monotonic) -> None:
        self._stream = stream
        self._records = records
        self._now = now
        self._is_terminal = stream.isatty()
        self._began = now()
        self._shown_at = self._began
        self._why = ""

    def advanced(self, tally: Tally, phase: str) -> None:
        self._why = ""
        every_s = _TERMINAL_EVERY_S if self._is_terminal else _LOG_EVERY_S
        if self._now() - self._shown_at >= every_s:
            self._show(self._line(tally, phase))

    def waiting(self, why: str) -> None:
        """Said once for each outage."""
        if why != self._why:
            self._why = why
            self._show(f"waiting: {why}")

    def finish(self) -> None:
        if self._is_terminal:
            self._stream.write(_ERASE)
            self._stream.flush()

    def _line(self, tally: Tally, phase: str) -> str:
        done = tally.total()
        rate = done / max(self._now() - self._began, 0.001)
        text = f"{phase}: {done:,} read, {tally.total(Verdict.COPIED, Verdict.REPLACED):,} copied, {rate:,.0f}/s"
        if phase == "activations" and self._records:
            read = tally.counts["activations"].total()
            text += f", {min(100, read * 100 // self._records)} % of {self._records:,} activations"
        return text

    def _show(self, text: str) -> None:
        self._shown_at = self._now()
        self._stream.write(f"{_ERASE}{text}" if self._is_terminal else f"{text}\n")
        self._stream.flush()
