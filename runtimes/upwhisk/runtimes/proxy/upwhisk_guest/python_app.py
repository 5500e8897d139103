"""The Python proxy's answers to /init and /run, apart from how they are served."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable
from types import FunctionType
from typing import Any

from .http1 import Request
from .initialise import NO_BINARY, NO_START, ONCE, InitFailed, Refused, parse_init, set_variables
from .outcome import EXITED, NO_ACTION, NotSerialisable, encode_exception, encode_result
from .python_code import Main, load, new_folder, user_traceback
from .streams import Streams
from .upwhisk_action import enter
from .variables import RunVariables

_PLAIN = (dict, list, str, int, float, bool, type(None))
_COROUTINE = 0x80  # inspect.CO_COROUTINE


def load_rest() -> None:
    """What most actions do without, half of a start: above all what serves several activations at once. To be loaded before
    code that may bring modules of the same names."""
    import inspect  # noqa: F401
    import traceback  # noqa: F401

    from . import python_async  # noqa: F401


class PythonApp:
    """One guest: not initialised, ready, or spent (its code exited)."""

    def __init__(self, streams: Streams, scratch: str) -> None:
        self._streams = streams
        self._scratch = scratch
        self._pid = os.getpid()
        self.variables = RunVariables()
        self._initialised = False
        self.main: Main | None = None
        self.on_concurrent: Callable[[], None] = lambda: None
        """Called when the code that was loaded takes several activations at once."""

    def handle(self, request: Request) -> tuple[int, bytes]:
        """Answer one request; runs the action to its end."""
        if request.path == b"/run":
            return self._run(request.body)
        return self.handle_other(request)

    def handle_other(self, request: Request) -> tuple[int, bytes]:
        if request.method != b"POST":
            return 405, b'{"error":"Only POST is served here."}\n'
        if request.path == b"/init":
            return self._init(request.body)
        return 404, b'{"error":"There are /init and /run."}\n'

    def _init(self, body: bytes) -> tuple[int, bytes]:
        if self._initialised:
            sys.stderr.write(ONCE + "\n")
            return 403, _error(ONCE)
        try:
            request = parse_init(body)
            if not request.code:
                raise Refused(403, "Missing main/no code to execute.")
            set_variables(request.env)
            if request.binary or "async" in request.code:
                load_rest()
            main = load(request, new_folder(os.path.join(self._scratch, "action")))
        except Refused as refusal:
            return refusal.status, _error(str(refusal))
        except InitFailed as failure:
            return self._init_failed(failure)
        except OSError as error:  # the scratch is full
            return self._init_failed(InitFailed(NO_BINARY, f"{error}\n"))
        self.check_process()
        self._initialised, self.main = True, main
        if not is_concurrent(main):
            return 200, b'{"ok":true,"concurrent":false}\n'
        self.on_concurrent()
        return 200, b'{"ok":true,"concurrent":true}\n'

    def _init_failed(self, failure: InitFailed) -> tuple[int, bytes]:
        self.check_process()
        sys.stderr.write(failure.log)
        self._streams.end_run()
        return 502, _error(str(failure))

    def _run(self, body: bytes) -> tuple[int, bytes]:
        main = self.main
        if main is None:
            return 500, NO_ACTION
        try:
            fields = json.loads(body)
            self.variables.enter(fields)
            enter(fields, alone=True)
            answer = self._call(main, fields.get("value", {}))
        except BaseException as error:  # the code or the request ended the process, as far as it can
            self.check_process()
            answer = self.spent(error)
        self._streams.end_run()
        return answer

    def _call(self, main: Main, value: Any) -> tuple[int, bytes]:
        try:
            result = main(value)
            if type(result) not in _PLAIN:
                result = _awaited(result)
        except Exception as error:
            self.check_process()
            sys.stderr.write(user_traceback(error))
            return encode_exception(error)
        self.check_process()
        return encode_result(result)

    def spent(self, error: BaseException) -> tuple[int, bytes]:
        """Nothing more can be run here. Returns what the stock proxy answers when its launcher has died."""
        self.main = None
        if isinstance(error, NotSerialisable) and error.__cause__ is not None:
            error = error.__cause__
        if not isinstance(error, SystemExit):
            sys.stderr.write(user_traceback(error))
        return 400, EXITED

    def exiting(self) -> tuple[int, bytes]:
        """The answer to the present request when the process is about to end under it."""
        self._streams.end_run()
        if self._initialised:
            return 400, EXITED
        return 502, _error(NO_START)

    def check_process(self) -> None:
        """A copy of this process that user code forked must not answer in its place."""
        if os.getpid() != self._pid:
            os._exit(0)


def is_concurrent(main: Main) -> bool:
    if type(main) is FunctionType and not main.__dict__:
        return bool(main.__code__.co_flags & _COROUTINE)
    import inspect

    return inspect.iscoroutinefunction(main) or inspect.iscoroutinefunction(type(main).__call__)


def _awaited(result: Any) -> Any:
    import inspect

    if not inspect.isawaitable(result):
        return result
    import asyncio

    return asyncio.run(_finish(result))


async def _finish(awaitable: Any) -> Any:
    return await awaitable


def _error(text: str) -> bytes:
    return (
        json.dumps({"error": text}, ensure_ascii=False, separators=(",", ":")).encode(
            "utf-8", "backslashreplace"
        )
        + b"\n"
    )
