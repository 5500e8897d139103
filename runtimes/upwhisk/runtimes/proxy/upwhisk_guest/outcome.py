"""What an action returned, as status and body of the answer."""

from __future__ import annotations

import json
from typing import Any

NOT_A_RESULT = b'{"error":"The action did not return a dictionary or array."}\n'
NOT_A_NUMBER = b'{"error":"The action returned a number that JSON does not have (NaN or an infinity)."}\n'
NOT_TEXT = b'{"error":"The action returned a text that UTF-8 cannot write (half of a surrogate pair)."}\n'
EXITED = b'{"error":"command exited"}\n'
NO_ACTION = b'{"error":"no action defined yet"}\n'

_encode = json.JSONEncoder(ensure_ascii=False, allow_nan=False).encode
_encode_nan = json.JSONEncoder(ensure_ascii=False).encode


class NotSerialisable(Exception):
    """The result cannot be written as JSON; the cause says why. The stock proxy's launcher dies of it."""


def encode_result(result: Any) -> tuple[int, bytes]:
    """Status and body for what an action returned. Raises `NotSerialisable`."""
    try:
        text = _encode(result)
        body = text.encode()
    except UnicodeError:
        return 502, NOT_TEXT
    except ValueError as error:
        if _has_nan(result):
            return 502, NOT_A_NUMBER
        raise NotSerialisable from error
    except Exception as error:  # a type JSON does not have, a key, nesting, an attribute of user code
        raise NotSerialisable from error
    if text[0] in "{[" or text == "null":
        return 200, body + b"\n"
    return 502, NOT_A_RESULT


def encode_exception(error: BaseException) -> tuple[int, bytes]:
    """An exception is a result: `{"error": str(error)}`."""
    try:
        text = str(error)
    except Exception:  # user code's __str__
        text = type(error).__name__
    return encode_result({"error": text.encode("utf-8", "backslashreplace").decode()})


def _has_nan(result: Any) -> bool:
    try:
        _encode_nan(result)
    except Exception:  # a cycle, not a number
        return False
    return True
