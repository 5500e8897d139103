"""Listeners for clients that come with the wrong certificate, with none, or to the wrong port: nobody gets further.

Threads with sockets that block: asyncio's own TLS drops the alert that says why a client is refused.
"""

from __future__ import annotations

import contextlib
import select
import socket
import ssl
import struct
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial

from services.certificates import Authority

TLS = {"1.2": ssl.TLSVersion.TLSv1_2, "1.3": ssl.TLSVersion.TLSv1_3}
_PATIENCE_S = 5.0
_SILENCE_S = 0.3
_OF_A_HANDSHAKE = 3
"""Records of a client's: its certificate, the proof that it is its own, and the end."""
_BAD_REQUEST = b"HTTP/1.1 400 Bad Request\r\nConnection: close\r\nContent-Length: 0\r\n\r\n"


@contextmanager
def tls_listener(authority: Authority, version: str = "1.3", *, deaf: bool = False) -> Iterator[int]:
    """The port of one that wants a client certificate which `authority` signed, over this version of TLS alone. `deaf`: what
    it says to a client that asks something is lost, as on a busy machine: it is heard by those who listen alone."""
    own = authority.sign("listener")
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH, cafile=str(authority.ca))
    context.load_cert_chain(own.certificate, own.key)
    context.verify_mode = ssl.CERT_REQUIRED
    context.minimum_version = context.maximum_version = TLS[version]

    def serve(taken: socket.socket) -> None:
        guarded = context.wrap_socket(taken, server_side=True, do_handshake_on_connect=False)
        with contextlib.suppress(OSError):
            guarded.do_handshake()
        with socket.socket(fileno=guarded.detach()) as plain:
            _hang_up(plain)

    with _listening(partial(_serve_deaf, context) if deaf else serve) as port:
        yield port


@contextmanager
def plain_listener() -> Iterator[int]:
    """The port of one that speaks HTTP, and calls everything else a bad request."""

    def serve(taken: socket.socket) -> None:
        with taken:
            taken.recv(1)
            taken.sendall(_BAD_REQUEST)
            _hang_up(taken)

    with _listening(serve) as port:
        yield port


def _serve_deaf(context: ssl.SSLContext, taken: socket.socket) -> None:
    came, goes = ssl.MemoryBIO(), ssl.MemoryBIO()
    guarded = context.wrap_bio(came, goes, server_side=True)
    with taken:
        came.write(taken.recv(65536))
        with contextlib.suppress(ssl.SSLWantReadError):
            guarded.do_handshake()
        taken.sendall(goes.read())
        said = b""
        while select.select([taken], [], [], _SILENCE_S)[0] and (more := taken.recv(65536)):
            said += more
        if _records(said) > _OF_A_HANDSHAKE:
            taken.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))  # a reset
            return
        came.write(said)
        with contextlib.suppress(ssl.SSLError):
            guarded.do_handshake()
        taken.sendall(goes.read())
        _hang_up(taken)


def _records(said: bytes) -> int:
    """How many encrypted ones of TLS 1.3."""
    count = 0
    while said:
        count += said[0] == 0x17
        said = said[5 + int.from_bytes(said[3:5]) :]
    return count


def _hang_up(taken: socket.socket) -> None:
    """What is unread at the end would turn it into a reset, in which the last word is lost."""
    taken.settimeout(_PATIENCE_S)
    with contextlib.suppress(OSError):
        taken.shutdown(socket.SHUT_WR)
        while taken.recv(65536):
            pass


@contextmanager
def _listening(serve: Callable[[socket.socket], None]) -> Iterator[int]:
    listener = socket.create_server(("127.0.0.1", 0))

    def accept() -> None:
        while True:
            taken, _ = listener.accept()
            taken.settimeout(_PATIENCE_S)
            if stopped.is_set():
                taken.close()
                return
            with contextlib.suppress(OSError):
                serve(taken)

    stopped = threading.Event()
    thread = threading.Thread(target=accept, name="listener")
    thread.start()
    try:
        yield listener.getsockname()[1]
    finally:
        stopped.set()
        socket.create_connection(listener.getsockname()).close()
        thread.join()
        listener.close()
