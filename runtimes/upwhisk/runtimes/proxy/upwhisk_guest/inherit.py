"""Threads belong to the activation that started them, and what a pool of threads does to the one that asked for it.

A plain thread begins with an empty context (Python 3.14 has `-X thread_inherit_context` for it), so what it prints would be
nobody's.
"""

from __future__ import annotations

import contextvars
import threading
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any


def install() -> None:
    """For the whole process; once."""
    start, submit = threading.Thread.start, ThreadPoolExecutor.submit

    def start_inheriting(thread: threading.Thread) -> None:
        context, run = contextvars.copy_context(), thread.run

        def run_inheriting() -> None:
            try:
                context.run(run)
            finally:
                del thread.run  # else the thread and what it was given would hold each other

        thread.run = run_inheriting  # type: ignore[method-assign]
        start(thread)

    def submit_inheriting(pool: ThreadPoolExecutor, fn: Any, /, *args: Any, **kwargs: Any) -> Future[Any]:
        return submit(pool, contextvars.copy_context().run, fn, *args, **kwargs)

    threading.Thread.start = start_inheriting  # type: ignore[assignment,method-assign]
    ThreadPoolExecutor.submit = submit_inheriting  # type: ignore[assignment,method-assign]
