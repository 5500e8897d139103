"""What the first activation of a process costs more than the next ones, done ahead.

A forked process pays for each page of memory that it touches for the first time, and an interpreter for each function
that it runs for the first time. `rehearse` walks the way of one /init and /run up to where it would leave traces: no
file, variable, module, working directory or stream is changed.
"""

from __future__ import annotations

import importlib.util
import inspect
import json
import os
from typing import Any

from .http1 import RequestReader, answer
from .initialise import parse_init
from .outcome import encode_result

_FILE = os.devnull
_CODE = """
import json
import os
import sys

GREETING = "Hello"


def greet(name, *rest, **options):
    return f"{GREETING} {name}"


class Greeter:
    def __init__(self, name):
        self.name = name

    def greet(self):
        return greet(self.name)


def main(args):
    names = [str(name) for name in args.get("names", [])]
    return {"greeting": Greeter(args.get("name", "stranger")).greet(), "names": {n: len(n) for n in names}}
"""
_VALUE = {"name": "World", "names": ["Ada", "Grace"], "number": 1.5, "nothing": None, "true": True}
_HEAD = b"POST %b HTTP/1.1\r\nHost: guest\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%b"


_done = False


def rehearse_once() -> None:
    """For a process that was forked and is idle: `rehearse`, unless this process has. About a millisecond of CPU."""
    global _done
    if not _done:
        _done = True
        rehearse()


def rehearse() -> None:
    """For a process that will fork: what is forked from it then finds its functions warm."""
    request = parse_init(_received(b"/init", {"value": {"name": "hello", "code": _CODE, "env": {"A": "B"}}}))
    with open(_FILE, "wb") as file:
        file.write(request.payload())
    with open(_FILE, "rb") as file:
        file.read()
    code = compile(request.code, _FILE, "exec", dont_inherit=True)
    spec = importlib.util.spec_from_file_location("rehearsal__", _FILE + ".py")
    assert spec is not None
    module = importlib.util.module_from_spec(spec)
    exec(code, module.__dict__)
    inspect.iscoroutinefunction(module.main)
    os.makedirs(os.path.dirname(os.path.realpath(_FILE)), exist_ok=True)
    for name in ("virtualenv", "requirements.txt"):
        os.path.isdir(os.path.join(_FILE, name))
    fields = json.loads(_received(b"/run", {"value": _VALUE, "deadline": "0", "activation_id": "0" * 32}))
    answer(*encode_result(module.main(fields["value"])))


def _received(path: bytes, message: dict[str, Any]) -> bytes:
    """The message after its way through the reader of requests."""
    body = json.dumps(message).encode()
    reader = RequestReader()
    reader.feed(_HEAD % (path, len(body), body))
    request = reader.take()
    assert request is not None
    return request.body
