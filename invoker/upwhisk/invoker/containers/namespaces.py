"""Doing something in another network namespace."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import TypeVar

from upwhisk.invoker.containers.zygote import kernel

T = TypeVar("T")


def run_in_network(descriptor: int, work: Callable[[], T]) -> T:
    """Run `work` in the network namespace `descriptor`; what it raises is raised here.

    A thread of its own enters and ends: a thread's network namespace is its own, so nothing has to be switched back.
    """
    done: list[T] = []
    failed: list[BaseException] = []

    def run() -> None:
        try:
            kernel.enter(descriptor, kernel.CLONE_NEWNET)
            done.append(work())
        except BaseException as error:  # noqa: BLE001 - carried to the caller, whatever it is
            failed.append(error)

    thread = threading.Thread(target=run, name="in-network")
    thread.start()
    thread.join()
    if failed:
        raise failed[0]
    return done[0]
