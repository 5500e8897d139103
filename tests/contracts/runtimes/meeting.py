"""Two activations in one guest at a time, and the lines each of them wrote."""

from __future__ import annotations

import json

from contracts.runtimes.guest import Client, Guest

from upwhisk.common.spi.containers import SENTINEL

FIRST = "a" * 32
SECOND = "b" * 32


def send(client: Client, activation_id: str, value: object) -> None:
    client.send_post("/run", json.dumps({"value": value, "activation_id": activation_id}).encode())


def lines_of(text: str, activation_id: str) -> list[str]:
    prefix = f"\x01{activation_id} "
    return [line[len(prefix) :] for line in text.splitlines() if line.startswith(prefix)]


def meet(guest: Guest) -> tuple[str, str]:
    """Two runs, `one` and `two`, that wait for each other and answer with their name and id. Returns both streams, of
    which the ends have been checked."""
    first, second = guest.connect(), guest.connect()
    send(first, FIRST, {"name": "one"})
    send(second, SECOND, {"name": "two"})
    for client, name, activation_id in ((first, "one", FIRST), (second, "two", SECOND)):
        answer = client.receive()
        assert answer is not None
        assert (answer.status, answer.json) == (200, {"name": name, "id": activation_id})
    out, err = guest.logs()
    for stream in (out, err):
        for activation_id in (FIRST, SECOND):
            assert stream.splitlines().count(f"{SENTINEL} {activation_id}") == 1
    return out, err
