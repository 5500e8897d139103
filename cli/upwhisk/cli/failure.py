"""How a command fails: the line that is printed, the exit code, and what the caller can do next."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

GENERAL: Final = 1
USAGE: Final = 2
NETWORK: Final = 3
NOT_FOUND: Final = 148
NOT_ALLOWED: Final = 149
ACCEPTED: Final = 202


class Failure(Exception):
    """Printed as `error: TEXT`. `usage`: the line that names `--help` follows. `hint`: what to do, may be empty."""

    def __init__(self, text: str, code: int = GENERAL, *, usage: bool = False, hint: str = "") -> None:
        super().__init__(text)
        self.text = text
        self.code = code
        self.usage = usage
        self.hint = hint


class ClientError(Failure):
    """The platform refused (`status` is its answer), or could not be reached (`status` 0)."""

    def __init__(self, text: str, code: int, *, status: int = 0, usage: bool = False, hint: str = "") -> None:
        super().__init__(text, code, usage=usage, hint=hint)
        self.status = status


def invalid(required: str, code: int = USAGE, *, hint: str = "") -> Failure:
    """Arguments that do not fit; `required` says what would."""
    return Failure(f"Invalid argument(s). {required}", code, usage=True, hint=hint)


@contextmanager
def unable(what: str, hints: dict[int, str] | None = None) -> Iterator[None]:
    """Put `what` before the text of a `ClientError`. `hints`: status of the answer -> what to do next."""
    try:
        yield
    except ClientError as error:
        hint = (hints or {}).get(error.status, error.hint)
        raise Failure(f"{what}: {error.text}", error.code, usage=error.usage, hint=hint) from None
