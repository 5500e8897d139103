"""Threads that belong to the activation that started them leave nothing behind."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

PROXY = Path(__file__).resolve().parents[3] / "runtimes/upwhisk/runtimes/proxy"
CODE = """
import contextvars, gc, threading, weakref
from upwhisk_guest import inherit
inherit.install()
gc.disable()
whose = contextvars.ContextVar("whose", default="nobody")
seen, left = [], []
def start(name):
    whose.set(name)
    thread = threading.Thread(target=lambda given: seen.append(whose.get()), args=(bytearray(1000),))
    left.append(weakref.ref(thread))
    thread.start()
    thread.join()
for number in range(20):
    contextvars.copy_context().run(start, f"n{number}")
print(seen == [f"n{number}" for number in range(20)], sum(one() is not None for one in left))
"""


def test_a_thread_has_its_starters_context_and_goes_when_it_ends() -> None:
    done = subprocess.run([sys.executable, "-c", CODE], capture_output=True, text=True, timeout=30, cwd=PROXY, check=True)
    assert done.stdout.split() == ["True", "0"]
