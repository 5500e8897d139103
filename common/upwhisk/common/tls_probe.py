"""Why a service cut a connection over TLS, asked once more."""

from __future__ import annotations

import contextlib
import socket
import ssl

from upwhisk.common.tls_faults import TlsFault, tls_fault

_LISTEN_S = 2.0


def probed_fault(error: BaseException, host: str, port: int, context: ssl.SSLContext | None) -> TlsFault | None:
    """As `tls_fault`; where `error` does not say, of a second connection that is silent. Blocking, for 2 s and the way.

    With TLS 1.3 a service refuses our certificate when we think that all is well and send our first request; it closes, the
    request meets a closed door, and the alert with the reason is lost. Who sends nothing hears it.
    """
    found = tls_fault(error)
    if found is None and context is not None and not isinstance(error, TimeoutError):
        found = _listen(host, port, context)
    return found


def _listen(host: str, port: int, context: ssl.SSLContext) -> TlsFault | None:
    try:
        with contextlib.ExitStack() as stack:
            plain = stack.enter_context(socket.create_connection((host, port), timeout=_LISTEN_S))
            guarded = stack.enter_context(context.wrap_socket(plain, server_hostname=host))
            guarded.recv(1)
    except OSError as error:  # that nothing came in time is one, too: nothing is wrong with us
        return tls_fault(error)
    return None
