"""A runtime for tests: runs the Python of a request's `code` in the guest and answers its variable `result`.

/run with {"code": ...}; several calls at once, each in a thread. Standard library only, Python 3.10 and later.
"""

from __future__ import annotations

import json
import socket
import sys
import threading
import traceback

PRELOAD = ("json", "threading")


def _answer(path: str, body: bytes) -> bytes:
    if path == "/raw":
        return b"x" * int(json.loads(body)["size"])
    scope: dict[str, object] = {}
    try:
        exec(json.loads(body).get("code", ""), scope)
        result = {"result": scope.get("result")}
    except BaseException as error:  # noqa: BLE001 - whatever the code under test raises is an answer
        result = {"error": f"{type(error).__name__}: {error}", "trace": traceback.format_exc()}
    sys.stdout.flush()
    sys.stderr.flush()
    return json.dumps(result).encode()


def _serve_one(connection: socket.socket) -> None:
    buffer = b""
    with connection:
        while True:
            while b"\r\n\r\n" not in buffer:
                data = connection.recv(65536)
                if not data:
                    return
                buffer += data
            head, _, buffer = buffer.partition(b"\r\n\r\n")
            length = int(head.lower().split(b"content-length:")[1].split(b"\r\n")[0])
            while len(buffer) < length:
                buffer += connection.recv(65536)
            body, buffer = buffer[:length], buffer[length:]
            answer = _answer(head.split(b" ")[1].decode(), body)
            connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s" % (len(answer), answer))


def serve(listen_fd: int) -> None:
    listener = socket.socket(fileno=listen_fd)
    while True:
        try:
            connection, _ = listener.accept()
        except OSError:  # the code under test has used up the descriptors
            threading.Event().wait(0.01)
            continue
        threading.Thread(target=_serve_one, args=(connection,), daemon=True).start()
