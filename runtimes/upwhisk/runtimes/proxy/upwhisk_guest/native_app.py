"""Native actions, as OpenWhisk's `dockerskeleton` image runs them: one process for each activation."""

from __future__ import annotations

import contextlib
import json
import os
import sys
from typing import Any

from .archive import BadArchive, is_zip, unpack_zip
from .http1 import Request
from .initialise import NO_BINARY, ONCE, Refused, parse_init, set_variables
from .native_process import run_process
from .outcome import NOT_A_RESULT
from .streams import Streams
from .variables import RunVariables

NO_EXEC = b'{"error":"The action failed to locate a binary. See logs for details."}\n'
NO_ARGUMENT = b'{"error":"The action did not receive a dictionary or array as an argument."}\n'
STUB = b"""#!/bin/sh
echo '{ "error": "This is a stub action. Replace it with custom logic." }'
"""


class NativeApp:
    """The executable is `<scratch>/action/exec` (the root of a sandbox cannot be written to).

    An action without code runs a stub, like the image it is named after.
    """

    def __init__(self, streams: Streams, scratch: str) -> None:
        self._streams = streams
        self._folder = os.path.join(scratch, "action")
        self._exec = os.path.join(self._folder, "exec")
        self._variables = RunVariables()
        self._initialised = False

    def handle(self, request: Request) -> tuple[int, bytes]:
        if request.method != b"POST":
            return 405, b'{"error":"Only POST is served here."}\n'
        if request.path == b"/init":
            return self._init(request.body)
        if request.path == b"/run":
            return self._run(request.body)
        return 404, b'{"error":"There are /init and /run."}\n'

    def _init(self, body: bytes) -> tuple[int, bytes]:
        if self._initialised:
            sys.stderr.write(ONCE + "\n")
            return 403, _error(ONCE)
        try:
            request = parse_init(body)
            set_variables(request.env)
            self._lay_out(request.payload() if request.code else STUB)
        except Refused as refusal:
            return refusal.status, _error(str(refusal))
        except (BadArchive, OSError) as error:
            sys.stderr.write(f"{error}\n")
            self._streams.end_run()
            return 502, _error(str(error) if isinstance(error, BadArchive) else NO_BINARY)
        if not self._ready():
            sys.stderr.write("Zip file does not include exec\n")
            self._streams.end_run()
            return 502, _error(NO_BINARY)
        self._initialised = True
        return 200, b'{"ok":true,"concurrent":false}\n'

    def _lay_out(self, payload: bytes) -> None:
        if os.path.exists(self._folder):
            import shutil  # a first /init finds nothing to clear away

            shutil.rmtree(self._folder, ignore_errors=True)
        os.makedirs(self._folder)
        if is_zip(payload):
            unpack_zip(payload, self._folder)
        else:
            with open(self._exec, "wb") as file:
                file.write(payload)
        with contextlib.suppress(FileNotFoundError):
            os.chmod(self._exec, 0o755)
        os.chdir(self._folder)

    def _ready(self) -> bool:
        return os.path.isfile(self._exec) and os.access(self._exec, os.X_OK)

    def _run(self, body: bytes) -> tuple[int, bytes]:
        try:
            fields = json.loads(body) if body else {}
            value = fields.get("value", {})
            if not isinstance(value, (dict, list)):
                return self._ended(404, NO_ARGUMENT)
            argument = json.dumps(value)
        except (ValueError, RecursionError, AttributeError):
            return self._ended(404, NO_ARGUMENT)
        if not self._ready():
            return self._ended(502, NO_EXEC)
        self._variables.enter(fields)
        return self._ended(*self._call(argument))

    def _call(self, argument: str) -> tuple[int, bytes]:
        try:
            last = run_process(self._exec, argument, self._streams.write)
        except OSError as error:  # no such interpreter, not an executable
            sys.stdout.write(f"{error}\n")
            return 502, NOT_A_RESULT
        if _is_result(last):
            return 200, last + b"\n"
        if last:
            self._streams.write(last + b"\n")
        return 502, NOT_A_RESULT

    def _ended(self, status: int, body: bytes) -> tuple[int, bytes]:
        self._streams.end_run()
        return status, body


def _is_result(line: bytes) -> bool:
    try:
        return isinstance(json.loads(line, parse_constant=_refuse), (dict, list))
    except (ValueError, RecursionError):
        return False


def _refuse(constant: str) -> Any:
    raise ValueError(constant)


def _error(text: str) -> bytes:
    return json.dumps({"error": text}, separators=(",", ":")).encode() + b"\n"
