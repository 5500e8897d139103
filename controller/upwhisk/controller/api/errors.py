"""Exception -> HTTP answer: the one place where that is decided."""

from __future__ import annotations

from typing import Final

import msgspec
import structlog
from aiohttp.http_exceptions import BadHttpMessage, LineTooLong

from upwhisk.common.errors import (
    HttpError,
    InternalError,
    MethodNotAllowed,
    NotAuthenticated,
    RevisionConflict,
    StoreError,
    Unavailable,
)
from upwhisk.controller.api.reply import JSON, Reply
from upwhisk.controller.catalog import CONCURRENT

log = structlog.get_logger(__name__)

_encoder = msgspec.json.Encoder()
MAX_LINE: Final = 8192
"""Bytes of the request target; longer ones are answered 414."""
MAX_FIELD: Final = 16384
"""Bytes of one header; longer ones are answered 431."""
MAX_HEADERS: Final = 128
_TIMED_OUT: Final = 408
_CHALLENGE: Final = 'WWW-Authenticate: Basic realm="OpenWhisk secure realm",charset=UTF-8\r\n'


def error_body(text: str, code: str) -> bytes:
    """Pretty-printed, two blanks a level."""
    return b'{\n  "code": %b,\n  "error": %b\n}' % (_quote(code), _quote(text))


def _quote(text: str) -> bytes:
    # Names from a request may hold undecodable bytes; an answer is valid UTF-8 all the same.
    clean = text.encode("utf-8", "replace").decode()
    return _encoder.encode(clean)


def error_reply(error: HttpError, transaction_id: str) -> Reply:
    headers = ""
    if isinstance(error, NotAuthenticated):
        headers = _CHALLENGE
    elif isinstance(error, MethodNotAllowed):
        headers = f"Allow: {', '.join(error.allowed)}\r\n"
    reply = Reply(error.status, error_body(error.text, transaction_id), JSON, headers)
    reply.transaction_id = transaction_id
    reply.close = error.status == _TIMED_OUT  # the rest of the request may still come
    return reply


def unexpected_reply(error: Exception, transaction_id: str) -> Reply:
    """Anything a handler let through: an error of a store is translated, everything else is a fault of ours."""
    if isinstance(error, RevisionConflict):
        return plain_error(409, CONCURRENT, transaction_id)
    if isinstance(error, StoreError):
        log.error("store error", action="api.store_error", transaction=transaction_id, exc_info=error)
        return error_reply(Unavailable(), transaction_id)
    log.error("request failed", action="api.failed", transaction=transaction_id, exc_info=error)
    return error_reply(InternalError(), transaction_id)


def plain_error(status: int, text: str, transaction_id: str) -> Reply:
    reply = Reply(status, error_body(text, transaction_id))
    reply.transaction_id = transaction_id
    return reply


def unparsable(error: BaseException | None) -> tuple[int, str]:
    """Status and text for bytes that are no HTTP request."""
    if isinstance(error, LineTooLong):
        if error.args and str(error.args[1]) == str(MAX_LINE):
            return 414, f"The request target is longer than {MAX_LINE} bytes."
        return 431, f"A header of the request is longer than {MAX_FIELD} bytes."
    if isinstance(error, BadHttpMessage) and "Too many headers" in error.message:
        return 431, f"The request has more than {MAX_HEADERS} headers."
    return 400, "The request is not valid HTTP."
