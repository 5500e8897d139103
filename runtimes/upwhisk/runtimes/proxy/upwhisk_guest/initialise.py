"""What a POST to /init carries, and the ways in which it can be refused or fail."""

from __future__ import annotations

import base64
import json
import os
import re
from typing import Any

NO_CODE = "Missing main/no code to execute."
ONCE = "Cannot initialize the action more than once."
NO_BINARY = "The action failed to generate or locate a binary. See logs for details."
_NOT_BASE64 = re.compile(r"[^A-Za-z0-9+/]")
NO_START = "Cannot start action. Check logs for details."


class Refused(Exception):
    """The request is at fault; nothing was run, so no sentinel is written."""

    def __init__(self, status: int, text: str) -> None:
        self.status = status
        super().__init__(text)


class InitFailed(Exception):
    """The code is at fault. `log`: what the developer reads on standard error, besides the answer."""

    def __init__(self, text: str, log: str = "") -> None:
        self.log = log
        super().__init__(text)


class InitRequest:
    """`code` is empty if there was none; `env` holds text only."""

    __slots__ = ("binary", "code", "env", "main")

    def __init__(self, value: dict[str, Any]) -> None:
        self.main = _field(value, "main", str, "") or "main"
        self.code = _field(value, "code", str, "")
        self.binary = _field(value, "binary", bool, False)
        self.env = {name: as_text(item) for name, item in _field(value, "env", dict, {}).items()}

    def payload(self) -> bytes:
        """The code as bytes; `Refused` if it is said to be base64 and is not."""
        return decode_base64(self.code) if self.binary else self.code.encode("utf-8", "surrogatepass")


def parse_init(body: bytes) -> InitRequest:
    """Read the body of /init. Raises `Refused` with the texts of the stock proxy."""
    message = _loads(body)
    if message is None:
        message = {}
    if not isinstance(message, dict):
        raise Refused(400, _mismatch(message, "value of type openwhisk.initRequest"))
    return InitRequest(_field(message, "value", dict, {}))


def as_text(value: Any) -> str:
    """An init parameter as a variable: text as it is, null as nothing, the rest as JSON."""
    if isinstance(value, str):
        return value
    return "" if value is None else json.dumps(value, ensure_ascii=False)


def set_variables(variables: dict[str, str]) -> None:
    """Add to the environment what an environment can hold."""
    for name, value in variables.items():
        try:
            os.environ[name] = value
        except (ValueError, OSError):  # an empty name, `=` in it, a NUL, a lone surrogate
            continue


def decode_base64(text: str) -> bytes:
    """Raises `Refused` that says where the text stops being base64."""
    compact = text.replace("\n", "").replace("\r", "") if "\n" in text else text
    found = _NOT_BASE64.search(compact)
    padding = len(compact) - found.start() if found is not None else 0
    if len(compact) % 4 or padding > 2 or compact[len(compact) - padding :].strip("="):
        at = found.start() if found is not None else len(compact)
        raise Refused(400, f"cannot decode the request: illegal base64 data at input byte {at}")
    return base64.b64decode(compact)


def _loads(body: bytes) -> Any:
    try:
        return json.loads(body)
    except json.JSONDecodeError as error:
        text = error.doc
        where = "looking for beginning of value" if error.msg == "Expecting value" else "in the request"
        reason = "unexpected end of JSON input"
        if text[error.pos :].strip() and not error.msg.startswith("Unterminated"):
            reason = f"invalid character '{text[error.pos]}' {where}"
        raise Refused(400, f"Error unmarshaling request: {reason}") from None
    except (ValueError, RecursionError) as error:
        raise Refused(400, f"Error unmarshaling request: {error}") from None


def _field(value: dict[str, Any], name: str, kind: type, missing: Any) -> Any:
    item = value.get(name)
    if item is None:
        return missing
    if not isinstance(item, kind):
        raise Refused(400, _mismatch(item, f"struct field initBodyRequest.{name}"))
    return item


def _mismatch(item: object, target: str) -> str:
    names = {bool: "bool", int: "number", float: "number", str: "string", list: "array", dict: "object"}
    return f"Error unmarshaling request: json: cannot unmarshal {names.get(type(item), 'value')} into Go {target}"
