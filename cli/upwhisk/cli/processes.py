"""What every long-running command shares: signals, the service manager's word, and the event loop."""

from __future__ import annotations

import asyncio
import gc
import os
import signal
import socket
import sys
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import click
import structlog

from upwhisk.common.errors import StartupError, Unavailable

log = structlog.get_logger(__name__)


class StopSignal:
    """The first SIGTERM or SIGINT asks for an orderly stop, the second stops at once: what was accepted is kept."""

    def __init__(self) -> None:
        self._asked = asyncio.Event()

    def catch(self) -> None:
        loop = asyncio.get_running_loop()
        for name in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(name, self._signalled)

    def _signalled(self) -> None:
        if self._asked.is_set():
            log.warning("stopped at once", action="process.stopped_at_once")
            os._exit(130)
        self._asked.set()

    async def wait(self, *others: asyncio.Event) -> None:
        """For the signal, or for one of `others`."""
        waiting = [asyncio.ensure_future(each.wait()) for each in (self._asked, *others)]
        try:
            await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for each in waiting:
                each.cancel()


def tell_manager(text: str) -> None:
    """`READY=1`, `STOPPING=1`, `WATCHDOG=1`: to the service manager that started us, if one did (sd_notify(3))."""
    address = os.environ.get("NOTIFY_SOCKET")
    if not address:
        return
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sender:
        try:
            sender.sendto(text.encode(), "\0" + address[1:] if address.startswith("@") else address)
        except OSError as error:
            log.warning("the service manager was not told", action="process.notify", reason=str(error))


def spare_the_collector() -> None:
    """What is there once a process is ready stays until its end: the cyclic garbage collector need not walk through it
    again, which under load took a tenth of a second, every few thousand calls."""
    gc.freeze()


async def feed_watchdog() -> None:
    """Say at half of the manager's interval that the event loop runs; returns at once where nobody asked."""
    interval_us = os.environ.get("WATCHDOG_USEC", "")
    if not interval_us.isdigit() or not int(interval_us):
        return
    while True:
        tell_manager("WATCHDOG=1")
        await asyncio.sleep(int(interval_us) / 2_000_000)


def run_process(main: Callable[[], Awaitable[None]]) -> None:
    """Run `main` to its end. `StartupError` passes through."""
    import uvloop

    async def whole() -> None:
        feeding = asyncio.create_task(feed_watchdog(), name="watchdog")
        try:
            await main()
        finally:
            feeding.cancel()
            await asyncio.gather(feeding, return_exceptions=True)

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        try:
            runner.run(whole())
        except OSError as error:
            # The command shows one line of it; where a platform broke is for who looks into its log.
            log.error("ended by an error that nobody expected", action="process.failed", exc_info=error)
            raise


@contextmanager
def startup_errors() -> Iterator[None]:
    """A `StartupError`, and a service that says no when something is asked of it for the first time, is one line on standard
    error and exit status 1."""
    try:
        yield
    except (StartupError, Unavailable) as error:
        click.secho("error: ", fg="red", err=True, nl=False)
        click.echo(str(error), err=True)
        sys.exit(1)


def process_age_s() -> float:
    """Seconds since this process was executed, the interpreter's own start included (proc(5), field 22 of stat)."""
    fields = Path("/proc/self/stat").read_text().rpartition(")")[2].split()
    started_s = int(fields[19]) / os.sysconf("SC_CLK_TCK")
    return time.clock_gettime(time.CLOCK_BOOTTIME) - started_s
