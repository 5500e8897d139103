"""What an answer of CouchDB means. Pure."""

from __future__ import annotations

from typing import Any, TypeVar

import msgspec

T = TypeVar("T")
TEMPORARY = frozenset({408, 429, 500, 502, 503, 504, 507})
"""CouchDB in maintenance, or starting, says 500, and 507 where its disk is full; the others come from what stands before it."""
DENIED = frozenset({401, 403})
REFUSED = frozenset({400, 412, 413})
"""Never accepted as it is, however often it is sent."""
_SHOWN = 200


class Answer(msgspec.Struct, frozen=True):
    """`uncertain`: an attempt before this one may have been carried out though its answer was lost."""

    status: int
    body: bytes
    uncertain: bool = False

    @property
    def is_ok(self) -> bool:
        return 200 <= self.status < 300

    def read(self, type: type[T]) -> T:
        """`msgspec.MsgspecError` if the body is no such JSON; an answer that breaks off ends in an error of another form."""
        return msgspec.json.decode(self.body, type=type)

    def fields(self) -> dict[str, Any]:
        return self.read(dict[str, Any])


class _Failure(msgspec.Struct):
    error: Any = ""
    reason: Any = ""


def is_crash(answer: Answer) -> bool:
    """Whether it met what nobody there expected (`chttpd.erl: error_info`), perhaps because of what was sent."""
    return answer.status == 500 and _failure(answer).error == "unknown_error"


def reason_of(answer: Answer) -> str:
    """Status and CouchDB's words for it, of bounded length."""
    failure = _failure(answer)
    words = ": ".join(str(word) for word in (failure.error, failure.reason) if word)
    return f"{answer.status} {words}"[:_SHOWN] if words else str(answer.status)


def _failure(answer: Answer) -> _Failure:
    try:
        return answer.read(_Failure)
    except (msgspec.MsgspecError, RecursionError):
        return _Failure()


def delay_s(attempt: int, spread: float) -> float:
    """Seconds before attempt number `attempt` (the first is 0) is repeated: doubling from 50 ms to 2 s, between half and
    all of it. `spread`: random, 0 to 1."""
    return float(min(2.0, 0.05 * 2 ** min(attempt, 10)) * (0.5 + spread / 2))
