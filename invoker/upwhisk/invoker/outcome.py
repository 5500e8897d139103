"""From what a guest answered to the response of the record. Pure.

The table is the container protocol's, section "from outcome to activation result" (`docs/wire.md`).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import msgspec

from upwhisk.common.messages import MAX_ATTEMPTS, ActivationMessage
from upwhisk.common.model.activation import Response, Status, failed, succeeded
from upwhisk.common.nesting import nests_deeper
from upwhisk.common.spi.containers import GuestAnswer

EXHAUSTED = "The action exhausted its memory and was aborted."
DIED_IN_RUN = "The action did not produce a valid response and exited unexpectedly."
DIED_IN_INIT = "The action did not initialize and exited unexpectedly."
NOT_JSON = "The action did not produce a valid JSON or JSON Array response"
TOO_DEEP = "The action produced a response that is nested deeper than {} levels."
MAX_DEPTH = 500
"""As for what comes in: what one action returns may be another's parameters."""
INIT_FAILED = "The action failed during initialization"
OVERLONG = "The action produced a response that exceeded the allowed length: {} > {} bytes. The truncated response was: {}"

_decode = msgspec.json.Decoder().decode


@dataclass(frozen=True, slots=True)
class Outcome:
    """`timed_out`: the annotation `timeout`. `keep`: the container may serve again."""

    response: Response
    keep: bool
    timed_out: bool = False


def of_run(answer: GuestAnswer, max_bytes: int) -> Outcome:
    """The guest's proxy answered a /run."""
    if answer.length > max_bytes:
        shown = answer.body[:max_bytes].decode("utf-8", "replace")
        text = OVERLONG.format(answer.length, max_bytes, shown)
        return Outcome(failed(Status.APPLICATION_ERROR, text, answer.length), keep=True)
    if nests_deeper(answer.body, MAX_DEPTH):
        return Outcome(failed(Status.DEVELOPER_ERROR, TOO_DEEP.format(MAX_DEPTH)), keep=answer.status == 200)
    value = _parse(answer.body)
    if answer.status != 200:
        return Outcome(_developer_error(value, answer, NOT_JSON), keep=False)
    size = len(answer.body) if answer.body.isascii() else len(answer.body.decode("utf-8", "replace"))
    if type(value) is dict:
        if "error" in value:
            return Outcome(failed(Status.APPLICATION_ERROR, value["error"], size), keep=True)
        return Outcome(succeeded(value, size), keep=True)
    if type(value) is list:
        return Outcome(succeeded(value, size), keep=True)
    return Outcome(_developer_error(None, answer, NOT_JSON), keep=False)


def of_failed_init(answer: GuestAnswer) -> Outcome:
    """The guest's proxy answered /init with anything but 200."""
    return Outcome(_developer_error(_parse(answer.body), answer, INIT_FAILED), keep=False)


def of_death(*, oom: bool, in_init: bool) -> Outcome:
    text = EXHAUSTED if oom else DIED_IN_INIT if in_init else DIED_IN_RUN
    return Outcome(failed(Status.DEVELOPER_ERROR, text), keep=False)


def of_timeout(limit_ms: int, *, in_init: bool) -> Outcome:
    where = " during initialization" if in_init else ""
    text = f"The action exceeded its time limits of {limit_ms} milliseconds{where}."
    return Outcome(failed(Status.DEVELOPER_ERROR, text), keep=False, timed_out=True)


def of_platform(text: str) -> Outcome:
    return Outcome(failed(Status.WHISK_ERROR, text), keep=False)


def of_stopped(why: str, message: ActivationMessage) -> Outcome:
    """It was broken off, and is not run again."""
    text = f"The action had not finished when {why}"
    if not message.retry_safe:
        text += "; it is not annotated retry-safe, so it was not run again"
    elif message.attempt >= MAX_ATTEMPTS:
        text += f"; it had been started {message.attempt} times"
    return of_platform(f"{text}.")


def of_missing_action(text: str) -> Outcome:
    return Outcome(failed(Status.APPLICATION_ERROR, text), keep=False)


def _parse(body: bytes) -> Any:
    """The JSON value, or None for anything that is none or could not be stored (a guest may send what it likes)."""
    if nests_deeper(body, MAX_DEPTH):
        return None
    try:
        return _decode(body)
    except (msgspec.DecodeError, RecursionError, UnicodeDecodeError):
        return None


def _developer_error(value: Any, answer: GuestAnswer, prefix: str) -> Response:
    if type(value) is dict and "error" in value:
        return failed(Status.DEVELOPER_ERROR, value["error"])
    text = answer.body.decode("utf-8", "replace")
    return failed(Status.DEVELOPER_ERROR, f"{prefix}: {text}" if text else f"{prefix}.")
