"""`upwhisk activation poll`: shows activations as they end."""

from __future__ import annotations

import json
import signal
import time
from dataclasses import dataclass
from types import FrameType
from typing import Any, Final, NoReturn

import click

from upwhisk.cli import texts
from upwhisk.cli.failure import ClientError, Failure
from upwhisk.cli.output import as_json, print_error
from upwhisk.cli.qualified import QualifiedName
from upwhisk.cli.session import Session

INTERVAL_S: Final = 2.0
_REMEMBERED: Final = 10_000
_REFUSED: Final = frozenset({401, 403, 404})


@dataclass(frozen=True, slots=True)
class PollSettings:
    """`name`: whose activations, and of which action. `back_s` 0: begin after the newest activation there is.
    `exit_s` 0: go on until a signal."""

    name: QualifiedName
    back_s: int = 0
    exit_s: int = 0


class _Stopped(Exception):
    """SIGINT or SIGTERM came."""


def _stop(number: int, frame: FrameType | None) -> NoReturn:
    raise _Stopped


def follow(session: Session, settings: PollSettings) -> int:
    """Print until told to stop; 0 when `exit_s` is over, 1 after a signal, as `wsk` ends."""
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, _stop)
    is_text = session.output.form is None
    try:
        _say(session, "Enter Ctrl-c to exit.")
        deadline = time.monotonic() + settings.exit_s if settings.exit_s else None
        since = _beginning(session, settings)
        _say(session, "Polling for activation logs")
        _Follower(session, settings.name, since).run(deadline)
    except _Stopped:
        _say(session, "Poll terminated")
        return 1
    if is_text:
        _say(session, "Poll terminated")
    return 0


def _say(session: Session, line: str) -> None:
    if session.output.form is None:
        click.echo(line)


def _beginning(session: Session, settings: PollSettings) -> int:
    """Milliseconds since 1970 from which activations are shown."""
    now = int(time.time() * 1000)
    if settings.back_s:
        return now - settings.back_s * 1000
    try:
        rows = session.client.rows("activations", {"docs": True, "limit": 1, "skip": 0}, namespace=settings.name.namespace)
    except ClientError as error:
        _give_up_if_refused(error, settings.name)
        return now
    return int(rows[0].get("start", 0)) + 1 if rows else 0


def _give_up_if_refused(error: ClientError, name: QualifiedName) -> None:
    """Errors that pass are waited out; a wrong key does not."""
    if error.status in _REFUSED:
        text = f"{texts.no_list('activations', name.namespace)}: {error.text}"
        raise Failure(text, error.code, usage=error.usage, hint=error.hint)


class _Follower:
    def __init__(self, session: Session, name: QualifiedName, since: int) -> None:
        self._session = session
        self._name = name
        self._since = since
        self._shown: dict[str, None] = {}
        self._is_out_of_reach = False

    def run(self, deadline: float | None) -> None:
        while True:
            for record in reversed(self._fetch()):  # the oldest first, as they happened
                self._show(record)
            left = INTERVAL_S if deadline is None else min(INTERVAL_S, deadline - time.monotonic())
            if left <= 0:
                return
            time.sleep(left)

    def _fetch(self) -> list[dict[str, Any]]:
        query = {"docs": True, "limit": 0, "skip": 0, "since": self._since or None, "name": self._name.path or None}
        try:
            rows = self._session.client.rows("activations", query, namespace=self._name.namespace)
            self._is_out_of_reach = False
            return rows
        except ClientError as error:
            _give_up_if_refused(error, self._name)
            if not self._is_out_of_reach:
                print_error(f"{error.text}; trying again every {INTERVAL_S:g} s")
            self._is_out_of_reach = True
            return []

    def _show(self, record: dict[str, Any]) -> None:
        key = str(record.get("activationId", ""))
        self._since = max(self._since, int(record.get("start") or 0) + 1)
        if key in self._shown:
            return
        self._shown[key] = None
        if len(self._shown) > _REMEMBERED:
            del self._shown[next(iter(self._shown))]
        form = self._session.output.form
        if form is None:
            click.echo(f"\nActivation: '{record.get('name')}' ({key})")
            click.echo(as_json(record.get("logs") or []))
        elif form == "json":
            click.echo(json.dumps(record, ensure_ascii=False))
        else:
            self._session.output.data(record)
